"""Bad input gets one clear line or a precise status, and the server lives on."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request

import grpc
import pytest

from support import conclave_process, router_client
from support.time_limits import scaled

LIMIT_S = router_client.LIMIT_S
INVALID = grpc.StatusCode.INVALID_ARGUMENT
# gRPC itself refuses bytes that are no message, before a service sees them; which of these depends on its version.
UNREADABLE = (INVALID, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED)


def two_tokens(stubs, channel) -> list[int]:
    return router_client.tokens_of(router_client.ask(stubs, channel, "Hello", {"temperature": 0, "max_tokens": 2}))


@pytest.fixture(scope="module")
def expected_tokens(stubs, server):
    with grpc.insecure_channel(server.address) as channel:
        return two_tokens(stubs, channel)


@pytest.fixture
def surviving(stubs, server, channel, expected_tokens):
    """The channel to a server that must answer after the test as it did before."""
    yield channel
    assert server.process.poll() is None, server.log_text()
    assert two_tokens(stubs, channel) == expected_tokens


def complete(stubs, channel, sampling: dict, **fields):
    sampling = {"max_tokens": 1, **sampling}
    request = stubs.router_pb2.CompleteRequest(sampling=stubs.common_pb2.SamplingParams(**sampling), **fields)
    return stubs.router_pb2_grpc.RouterServiceStub(channel).Complete(request, timeout=LIMIT_S)


def refused(call, code, *words: str) -> None:
    failure = router_client.failure_of(call)
    assert failure is not None, "it was not refused"
    assert failure.code() == code, failure
    assert all(word in failure.details() for word in words), failure.details()
    assert "\n" not in failure.details()


def test_empty_prompts(stubs, surviving):
    refused(router_client.ask(stubs, surviving, "", {}), INVALID, "empty")
    refused(complete(stubs, surviving, {}, prompt=""), INVALID, "prompt")
    router = stubs.router_pb2_grpc.RouterServiceStub(surviving)
    refused(router.Chat(stubs.router_pb2.ChatRequest(), timeout=LIMIT_S), INVALID, "messages")


def test_a_huge_message(stubs, surviving):
    refused(router_client.ask(stubs, surviving, "x" * (1 << 20) + "x", {}), INVALID, "content", "1048576")


def test_a_prompt_beyond_the_context(stubs, surviving):
    beyond = grpc.StatusCode.OUT_OF_RANGE
    refused(router_client.ask(stubs, surviving, "word " * 20_000, {}), beyond, "context")
    refused(complete(stubs, surviving, {}, prompt="word " * 20_000), beyond, "context")


def test_tokens_that_do_not_exist(stubs, surviving):
    for token in (-1, 49152, 2**31 - 1):
        refused(complete(stubs, surviving, {}, prompt_token_ids=[token]), INVALID, str(token))


def test_text_that_is_not_utf8(surviving):
    message = b"\x08\x02" + b"\x12\x02\xff\xfe"  # role: user, content: two bytes that no character starts with
    raw = surviving.unary_stream("/conclave.v1.RouterService/Chat")
    failure = router_client.failure_of(raw(b"\x12" + bytes([len(message)]) + message, timeout=LIMIT_S))
    assert failure is not None and failure.code() in UNREADABLE, failure


def test_bytes_that_are_no_message(surviving):
    raw = surviving.unary_stream("/conclave.v1.RouterService/Chat")
    failure = router_client.failure_of(raw(b"\xff\xff\xff", timeout=LIMIT_S))
    assert failure is not None and failure.code() in UNREADABLE, failure


ABSURD_SAMPLING = [
    {"temperature": float("inf")}, {"top_p": 0.0}, {"min_p": -0.1}, {"repetition_penalty": 0.0},
    {"frequency_penalty": 3.0}, {"presence_penalty": -3.0}, {"max_tokens": 0}, {"stop": ["x"] * 17},
    {"stop": ["x" * 257]}, {"logit_bias": {5: 1000.0}}, {"logit_bias": {-5: 1.0}}, {"logit_bias": {10**6: 1.0}}]


def test_methods_that_do_not_exist_share_one_series(server, surviving):
    for number in range(3):
        name = f"Made{number}Up"
        call = surviving.unary_unary(f"/conclave.v1.RouterService/{name}")
        with pytest.raises(grpc.RpcError) as failure:
            call(b"", timeout=LIMIT_S)
        assert failure.value.code() == grpc.StatusCode.UNIMPLEMENTED
    metrics = ""
    deadline = time.monotonic() + LIMIT_S  # a call is counted a moment after its client heard of its end
    while 'method="other"' not in metrics and time.monotonic() < deadline:
        with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=LIMIT_S) as answer:
            metrics = answer.read().decode()
    assert 'method="other"' in metrics and "Made" not in metrics and "Made" not in server.log_text()


def test_what_is_internal_is_refused(stubs, surviving):
    answer = stubs.feedback_pb2.RecordRequest(response_id="made-up", text="never said")
    record = stubs.feedback_pb2_grpc.FeedbackServiceStub(surviving).Record
    with pytest.raises(grpc.RpcError) as failure:
        record(answer, timeout=LIMIT_S)
    assert failure.value.code() == grpc.StatusCode.PERMISSION_DENIED
    generate = stubs.decoder_pb2_grpc.DecoderServiceStub(surviving).Generate
    refused(generate(iter([]), timeout=LIMIT_S), grpc.StatusCode.PERMISSION_DENIED, "internal")


def test_what_is_kept_is_for_its_owner_alone(server, shared_home, surviving):
    del server, surviving
    stores = [path for path in (shared_home.path / "data").iterdir() if path.is_dir()]
    assert len(stores) == 4 and all(path.stat().st_mode & 0o077 == 0 for path in stores)


def test_absurd_sampling(stubs, surviving):
    for sampling in ABSURD_SAMPLING:
        refused(complete(stubs, surviving, sampling, prompt="Hello"), INVALID, next(iter(sampling)).split("_")[0])


def test_what_does_not_exist(stubs, surviving):
    missing = grpc.StatusCode.NOT_FOUND
    refused(router_client.ask(stubs, surviving, "Hi", {}, model="no-such-model"), missing, "no-such-model")
    refused(router_client.ask(stubs, surviving, "Hi", {}, collection="no-such-collection"), missing,
            "no-such-collection")
    refused(router_client.ask(stubs, surviving, "Hi", {}, session_id="a/b"), INVALID, "session_id")
    refused(router_client.ask(stubs, surviving, "Hi", {}, collection="animals", top_n=21), INVALID, "top_n")


def test_a_client_that_vanishes(stubs, server, surviving):
    vanishing = grpc.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)])
    events = router_client.ask(stubs, vanishing, "Count.", {"max_tokens": 1500, "ignore_eos": True})
    next(events)
    next(events)
    vanishing.close()
    router_client.wait_until(lambda: router_client.decoder_status(stubs, surviving).running_sequences == 0,
                             limit_s=scaled(20))
    assert router_client.decoder_status(stubs, surviving).queued_sequences == 0


def test_bytes_that_are_not_grpc(server, surviving):
    del surviving
    host, _, port = server.address.rpartition(":")
    # The server may hang up before all of it was sent.
    with socket.create_connection((host, int(port)), timeout=LIMIT_S) as connection, contextlib.suppress(OSError):
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256)) * 64)
        connection.shutdown(socket.SHUT_WR)
    assert server.process.poll() is None, server.log_text()


def one_line(done, status: int, *words: str) -> None:
    """A command ended with this status and said why in one line."""
    assert done.returncode == status, (done.returncode, done.stderr)
    lines = [line for line in done.stderr.splitlines() if " level=" not in line]
    assert len(lines) == 1, done.stderr
    assert all(word in lines[0] for word in words), lines[0]


def test_an_unknown_flag_is_wrong_usage(conclave):
    done = conclave("serve", "--no-such-flag")
    assert done.returncode == 2 and "--no-such-flag" in done.stderr


def test_an_unknown_key_names_the_nearest(conclave, home):
    config = home.path / "bad.yaml"
    config.write_text("model: smollm2-135m-instruct\nthread: 2\n")
    one_line(conclave("serve", "--config", str(config)), 1, "bad.yaml:2", '"thread"', '"threads"')


def test_an_unknown_model(conclave):
    one_line(conclave("generate", "--model", "no-such-model", "--prompt", "Hi"), 1, "no-such-model")
    one_line(conclave("generate", "--model", "/no/such/file.gguf", "--prompt", "Hi"), 1, "/no/such/file.gguf")


def test_absurd_sampling_on_the_command_line(conclave):
    one_line(conclave("generate", "--prompt", "Hi", "--temperature", "-1"), 1, "temperature", "-1")


def test_numbers_that_are_not_plain(conclave):
    for number in ("-1", "010", "99999999999999999999"):
        done = conclave("generate", "--prompt", "Hi", "--seed", number)
        assert done.returncode == 2 and number in done.stderr
    done = conclave("generate", "--prompt", "Hi", "--max-tokens", "010")
    assert done.returncode == 2 and "010" in done.stderr
    for flag in ("--answers", "--beams"):
        for number in ("0", "17"):
            done = conclave("generate", "--prompt", "Hi", flag, number)
            assert done.returncode == 2 and f"'{number}'" in done.stderr


def test_no_tokens_are_not_a_file(conclave):
    one_line(conclave("tokenize", "--decode", ""), 1, "no token ids")


def test_an_unknown_command_is_named(conclave):
    one_line(conclave("answer", "--prompt", "Hi"), 2, "'answer'", "--help")


def test_flags_that_would_have_no_effect(conclave):
    for arguments in (["generate", "--prompt-token-ids", "1,2", "--system", "Be brief."],
                      ["generate", "--prompt", "Hi", "--raw", "--system", "Be brief."],
                      ["chat", "--logprobs", "3", "Hi"],
                      ["rate", "x", "--token", "y", "--vote", "good", "--other", "z", "--other-token", "w"],
                      ["rate", "x", "--token", "y", "--vote", "better"],
                      ["generate", "--connect", "", "--prompt", "Hi"],
                      ["generate", "--connect", "127.0.0.1:1", "--model", "other", "--prompt", "Hi"],
                      ["chat", "--connect", "127.0.0.1:1", "--kv-type", "int8", "Hi"],
                      ["bench", "load", "--connect", "127.0.0.1:1", "--threads", "1"],
                      ["chat", "--top-n", "2", "Hi"],
                      ["serve", "--listen", ""]):
        done = conclave(*arguments)
        assert done.returncode == 2 and done.stderr, arguments


@pytest.mark.slow
def test_a_conversation_that_outgrows_the_context_goes_on(conclave, server):
    turn = "word " * 4_100
    done = conclave("chat", "--connect", server.address, "--json", "--max-tokens", "2", "--temperature", "0",
                    input=f"{turn}\n{turn}\nHello\n")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr.count("outgrew") == 1, done.stderr


def test_a_question_that_never_fits_costs_no_turn(conclave, server):
    def answers(*questions: str) -> list[str]:
        done = conclave("chat", "--connect", server.address, "--json", "--max-tokens", "8", "--temperature", "0",
                        input="".join(f"{question}\n" for question in questions))
        assert "outgrew" not in done.stderr
        return [json.loads(line)["text"] for line in done.stdout.splitlines()]

    first, last = "My name is Ada.", "What is my name?"
    assert answers(first, "word " * 20_000, last) == answers(first, last)


def test_a_stop_text_does_not_take_the_message(conclave):
    done = conclave("chat", "--temperature", "0", "--max-tokens", "3", "--stop", "never said", "Hello")
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


def test_output_that_cannot_be_written(program, home):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([str(program), "tokenize", "--text", "Hello"], env=home.environment(), stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=LIMIT_S, check=False)
    one_line(done, 1, "output")


def test_a_prompt_that_is_not_utf8(conclave):
    one_line(conclave("generate", "--prompt", b"\xff\xfe"), 1, "UTF-8")


def test_a_server_that_is_not_there(conclave):
    address = f"127.0.0.1:{conclave_process.free_port()}"
    done = conclave("generate", "--connect", address, "--prompt", "Hi")
    one_line(done, 1, address, "conclave serve")


def test_a_pipe_is_no_document(conclave, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    one_line(conclave("ingest", str(tmp_path / "pipe"), "--collection", "c"), 1, "pipe", "neither a file nor a folder")


def test_control_characters_of_documents_do_not_reach_the_terminal(conclave, tmp_path):
    (tmp_path / "a.txt").write_bytes("wombat \x1b]0;title\x07 \x9b31m end".encode())
    assert conclave("ingest", str(tmp_path / "a.txt"), "--collection", "c").returncode == 0
    found = conclave("search", "wombat", "--collection", "c")
    assert "wombat" in found.stdout and not any(character in found.stdout for character in "\x1b\x07\x9b")


def test_a_conversation_in_a_script_fails_with_its_answers(conclave):
    one_line(conclave("chat", "--collection", "no-such-collection", input="Hi\n"), 1, "no-such-collection")


@pytest.mark.parametrize("kept", [0, 3, 100, 100_000, 0.5, 0.999])
def test_a_truncated_model_file(conclave, home, model_path, kept):
    size = model_path.stat().st_size
    broken = home.path / "broken.gguf"
    with open(model_path, "rb") as whole, open(broken, "wb") as part:
        part.write(whole.read(int(kept * size) if isinstance(kept, float) else kept))
    one_line(conclave("generate", "--model", str(broken), "--prompt", "Hi"), 1, "broken.gguf")


@pytest.mark.parametrize(("offset", "content"), [(0, b"GGUX"), (4, b"\xff\xff\xff\xff"), (8, b"\xff" * 8),
                                                 (16, b"\xff" * 8), (24, b"\xff" * 8)])
def test_a_corrupt_model_file(conclave, home, model_path, offset, content):
    broken = home.path / "broken.gguf"
    shutil.copy(model_path, broken)
    with open(broken, "r+b") as file:
        file.seek(offset)
        file.write(content)
    one_line(conclave("generate", "--model", str(broken), "--prompt", "Hi"), 1, "broken.gguf")


def test_a_port_in_use(conclave):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        one_line(conclave("serve", "--listen", f"127.0.0.1:{port}", "--http", "127.0.0.1:0"), 1, port)
        one_line(conclave("serve", "--listen", "127.0.0.1:0", "--http", f"127.0.0.1:{port}"), 1, port)
        # Before anything that takes time, such as reading a model.
        one_line(conclave("serve", "--listen", f"127.0.0.1:{port}", "--model", "none-such"), 1, port)


def test_a_data_folder_that_another_process_uses(start_server, conclave, home):
    server = start_server()
    second = conclave("serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
    one_line(second, 1, str(home.path / "data"), str(server.process.pid))
    one_line(conclave("search", "wombat", "--collection", "c"), 1, str(server.process.pid), "--connect")
    assert server.stop() == 0


def test_a_score_of_damaged_weights_is_none(conclave, model_path, tmp_path):
    broken = tmp_path / "broken.gguf"
    data = bytearray(model_path.read_bytes())
    middle = len(data) // 2
    data[middle:middle + (1 << 20)] = b"\xff" * (1 << 20)
    broken.write_bytes(data)
    text = tmp_path / "text.txt"
    text.write_text("The owl flies at night. " * 100)
    one_line(conclave("score", "--model", str(broken), "--file", str(text)), 1, "damaged")
    for bench in ("decode", "batch"):
        one_line(conclave("bench", bench, "--model", str(broken), "--tokens", "2", "--repeats", "1"), 1, "damaged")
