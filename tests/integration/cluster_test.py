"""The processes of examples/cluster.yaml give the answers of one process, and outlive the loss of an expert shard."""

import concurrent.futures
import contextlib
import time

import grpc
import pytest

from support import conclave_process, router_client
from support.project_files import REPOSITORY

REQUESTS = 20
TOGETHER = 8
TOKENS = 8
OPENINGS = ("Tell me about", "Write a short poem on", "Explain in one sentence", "What do you think of",
            "List three facts about")
SUBJECTS = ("the sea", "sorting algorithms", "owls", "Ζεύς and 東京")
QUESTIONS = [f"{opening} {subject}." for opening in OPENINGS for subject in SUBJECTS]
# A request through a shard that is gone ends well within this.
DEADLINE_S = 20


@pytest.fixture(scope="module")
def cluster(program, model_path):
    """The processes of examples/cluster.yaml, shared by this file: a test that ends one starts it again."""
    del program
    home = conclave_process.Home(model_path)
    made = conclave_process.Cluster(home, REPOSITORY / "examples/cluster.yaml")
    try:
        yield made.start_all()
    finally:
        made.end()
        home.remove()


@pytest.fixture
def cluster_channel(cluster):
    with grpc.insecure_channel(cluster.router().address) as opened:
        yield opened


def answers(stubs, channel, temperature: float, together: int) -> list[list[int]]:
    """The token ids that answer each question, `together` of them asked at once."""
    def answer(index: int) -> list[int]:
        sampling = {"temperature": temperature, "seed": 1000 + index, "max_tokens": TOKENS}
        return router_client.tokens_of(router_client.ask(stubs, channel, QUESTIONS[index], sampling))

    with concurrent.futures.ThreadPoolExecutor(together) as pool:
        return list(pool.map(answer, range(REQUESTS)))


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_one_process_and_seven_give_the_same_tokens(stubs, channel, cluster_channel, temperature):
    alone = answers(stubs, channel, temperature, together=1)
    assert all(alone) and len({tuple(tokens) for tokens in alone}) > REQUESTS / 2
    assert answers(stubs, channel, temperature, TOGETHER) == alone
    assert answers(stubs, cluster_channel, temperature, together=1) == alone
    assert answers(stubs, cluster_channel, temperature, TOGETHER) == alone


@contextlib.contextmanager
def without(cluster, name: str):
    """Kills a process for a while."""
    cluster.servers[name].kill()
    try:
        yield
    finally:
        cluster.start(name).wait_ready()


def test_a_missing_shard_is_named_and_its_return_is_noticed(stubs, cluster, cluster_channel):
    sampling = {"temperature": 0.8, "seed": 3, "max_tokens": TOKENS}
    before = router_client.tokens_of(router_client.ask(stubs, cluster_channel, "Hello there.", sampling))
    with without(cluster, "experts-1"):
        started = time.monotonic()
        call = router_client.ask(stubs, cluster_channel, "Hello there.", sampling, limit_s=DEADLINE_S)
        failure = router_client.failure_of(call)
        assert failure is not None and failure.code() == grpc.StatusCode.UNAVAILABLE, failure
        assert "expert shard" in failure.details() and "experts-1.sock" in failure.details()
        assert time.monotonic() - started < DEADLINE_S
    after = router_client.tokens_of(router_client.ask(stubs, cluster_channel, "Hello there.", sampling))
    assert after == before


def test_a_shard_that_is_killed_amid_an_answer_changes_nothing_or_fails_it_clearly(stubs, cluster, cluster_channel):
    sampling = {"temperature": 0.8, "seed": 4, "max_tokens": 24, "ignore_eos": True}
    whole = router_client.tokens_of(router_client.ask(stubs, cluster_channel, "Tell me a long story.", sampling))
    assert len(whole) == 24
    call = router_client.ask(stubs, cluster_channel, "Tell me a long story.", sampling)
    tokens = router_client.tokens_of([next(call), next(call)])
    try:
        with without(cluster, "experts-0"):
            pass
        tokens += router_client.tokens_of(call)
        assert tokens == whole
    except grpc.RpcError as failure:
        assert failure.code() == grpc.StatusCode.UNAVAILABLE and "expert shard" in failure.details()
        assert tokens == whole[:len(tokens)]
    again = router_client.tokens_of(router_client.ask(stubs, cluster_channel, "Tell me a long story.", sampling))
    assert again == whole


def test_the_command_line_talks_to_the_cluster(conclave, cluster):
    done = conclave("generate", "--connect", cluster.router().address, "--prompt", "Hello", "--max-tokens", "4",
                    "--temperature", "0", "--json")
    assert done.returncode == 0, done.stderr
    assert '"token_ids":[' in done.stdout


def test_every_process_of_the_cluster_drains(program, home):
    del program
    made = conclave_process.Cluster(home, REPOSITORY / "examples/cluster.yaml")
    try:
        made.start_all()
        assert {name: server.stop() for name, server in made.servers.items()} == dict.fromkeys(made.names, 0)
    finally:
        made.end()
