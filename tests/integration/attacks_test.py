"""Who asks for too much gets honest errors, and costs neither memory without bound nor other streams their pace."""

import contextlib
import random
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import yaml

from support import conclave_process, router_client
from support.process_memory import is_measurable, resident_bytes
from support.steady_stream import SteadyStream

KV_BYTES = 64 << 20  # 2,900 tokens of the default model
PREFIX_CACHE_BYTES = 16 << 20
QUEUED_REQUESTS = 32
STEADY_TOKENS = 1_200
CLIENTS = 32
# Beyond keys and values: the buffers of a step of 512 tokens (24 MB), three stores' memory for writes (16 MB each),
# what the allocator keeps for each thread, and messages on their way.
MEMORY_SLACK_BYTES = 160 << 20
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture(scope="module")
def small_server(program, model_path):
    """Little room for keys and values and a short queue, so that a test can fill them."""
    del program
    home = conclave_process.Home(model_path)
    config = home.path / "small.yaml"
    config.write_text(yaml.safe_dump({"limits": {"kv_bytes": KV_BYTES, "prefix_cache_bytes": PREFIX_CACHE_BYTES,
                                                 "queued_requests": QUEUED_REQUESTS}}))
    server = conclave_process.start_single(home, "--config", str(config))
    yield server
    try:
        assert server.stop() == 0, server.log_text()
    finally:
        server.end()
        home.remove()


@pytest.fixture
def open_channel(small_server):
    with grpc.insecure_channel(small_server.address, options=[("grpc.max_send_message_length", -1)]) as channel:
        yield channel


@pytest.fixture
def attack(stubs, small_server, open_channel):
    """attack(DO): runs it beside a steady stream, which must keep its pace while the server's memory stays bounded."""

    def run(do):
        steady = SteadyStream(stubs, open_channel, STEADY_TOKENS)
        before = resident_bytes(small_server.process.pid)
        begin = time.monotonic()
        outcome = do()
        steady.kept_its_pace(begin, time.monotonic())
        grown = resident_bytes(small_server.process.pid) - before
        steady.cancel()
        router_client.wait_until(lambda: router_client.decoder_status(stubs, open_channel).running_sequences == 0)
        if is_measurable():
            assert grown <= KV_BYTES + MEMORY_SLACK_BYTES, f"{grown >> 20} MiB more"
        return outcome

    return run


def complete(stubs, channel, tokens: list[int], max_tokens: int):
    request = stubs.router_pb2.CompleteRequest(
        prompt_token_ids=tokens,
        sampling=stubs.common_pb2.SamplingParams(temperature=0, max_tokens=max_tokens, ignore_eos=True))
    return stubs.router_pb2_grpc.RouterServiceStub(channel).Complete(request, timeout=router_client.LIMIT_S)


def outcomes(count: int, ask) -> list[grpc.RpcError | None]:
    """What became of ask(0), ask(1), ...: a failure, or None for an answer. CLIENTS at a time."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(lambda number: router_client.failure_of(ask(number)), range(count)))


def test_requests_that_never_fit(stubs, open_channel, attack):
    failures = attack(lambda: outcomes(500, lambda n: complete(stubs, open_channel, [5 + n] * 200, 4_000)))
    for failure in failures:
        assert failure is not None and failure.code() == grpc.StatusCode.OUT_OF_RANGE, failure
        assert "never fits" in failure.details() and "limits.kv_bytes" in failure.details()


@pytest.mark.slow
def test_thousands_of_tiny_requests(stubs, open_channel, attack):
    failures = attack(lambda: outcomes(2_000, lambda n: complete(stubs, open_channel, [5 + n], 1)))
    refused = [failure for failure in failures if failure is not None]
    assert all(failure.code() == EXHAUSTED for failure in refused), refused[:3]
    assert len(refused) < len(failures)


@pytest.mark.slow
def test_one_enormous_request(stubs, open_channel, attack):
    most_tokens, most_bytes, message_bytes = 1 << 22, 16 << 20, 64 << 20

    def ask_for_too_much():
        texts = ["x" * most_bytes, "x" * (most_bytes + 1), "x" * (message_bytes + 1)]
        failures = [router_client.failure_of(complete_text(stubs, open_channel, text)) for text in texts]
        return [*failures, router_client.failure_of(complete(stubs, open_channel, [5] * most_tokens, 1))]

    codes = [failure and failure.code() for failure in attack(ask_for_too_much)]
    assert codes == [grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.INVALID_ARGUMENT, EXHAUSTED,
                     grpc.StatusCode.OUT_OF_RANGE]


def complete_text(stubs, channel, text: str):
    request = stubs.router_pb2.CompleteRequest(prompt=text, sampling=stubs.common_pb2.SamplingParams(max_tokens=1))
    return stubs.router_pb2_grpc.RouterServiceStub(channel).Complete(request, timeout=router_client.LIMIT_S)


def test_a_flood_of_cancellations(stubs, open_channel, attack):
    def ask_and_leave(number: int) -> list:
        call = complete(stubs, open_channel, [5 + number] * (1 + number % 50), 200)
        if number % 2:
            with contextlib.suppress(grpc.RpcError):
                next(call)
        call.cancel()
        return []

    assert attack(lambda: outcomes(1_000, ask_and_leave)) == [None] * 1_000
    status = router_client.decoder_status(stubs, open_channel)
    assert (status.running_sequences, status.queued_sequences, status.queued_tokens) == (0, 0, 0)
    assert router_client.failure_of(complete(stubs, open_channel, [5], 2)) is None


@pytest.mark.slow
def test_a_prefix_cache_under_random_prefixes(stubs, open_channel, attack):
    dice = random.Random(7)
    prompts = [[dice.randrange(100, 40_000) for _ in range(70)] for _ in range(120)]
    before = router_client.decoder_status(stubs, open_channel).prefix_cache_evictions
    failures = attack(lambda: outcomes(len(prompts), lambda n: complete(stubs, open_channel, prompts[n], 1)))
    assert all(failure is None or failure.code() == EXHAUSTED for failure in failures)
    status = router_client.decoder_status(stubs, open_channel)
    assert status.prefix_cache_evictions > before
    assert 0 < status.prefix_cache_bytes_used <= PREFIX_CACHE_BYTES
    assert status.kv_bytes_used == status.prefix_cache_bytes_used
