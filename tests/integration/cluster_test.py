"""The processes of examples/cluster.yaml give the answers of one process, outlive the loss of an expert shard, and are
reached at the router's address."""

import concurrent.futures
import contextlib
import json
import queue
import time

import grpc
import pytest

from support import conclave_process, router_client
from support.project_files import REPOSITORY
from support.time_limits import scaled

REQUESTS = 20
TOGETHER = 8
TOKENS = 8
OPENINGS = ("Tell me about", "Write a short poem on", "Explain in one sentence", "What do you think of",
            "List three facts about")
SUBJECTS = ("the sea", "sorting algorithms", "owls", "Ζεύς and 東京")
QUESTIONS = [f"{opening} {subject}." for opening in OPENINGS for subject in SUBJECTS]
# A request through a shard that is gone ends well within this.
DEADLINE_S = scaled(20)


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


def test_a_tokenizer_that_is_killed_amid_an_answer_does_not_touch_it(stubs, cluster, cluster_channel):
    sampling = {"temperature": 0.8, "seed": 5, "max_tokens": 100, "ignore_eos": True}
    whole = list(router_client.ask(stubs, cluster_channel, "Tell me a long story.", sampling))
    call = router_client.ask(stubs, cluster_channel, "Tell me a long story.", sampling)
    events = [next(call), next(call)]
    with without(cluster, "tokenizer"):
        events += call
        refused = router_client.ask(stubs, cluster_channel, "And now?", sampling, limit_s=DEADLINE_S)
        failure = router_client.failure_of(refused)
        assert failure is not None and failure.code() == grpc.StatusCode.UNAVAILABLE, failure
        assert "tokenizer" in failure.details()
    assert router_client.tokens_of(events) == router_client.tokens_of(whole)
    assert router_client.text_of(events) == router_client.text_of(whole)
    # The router tries a lost connection again after a while.
    router_client.wait_until(
        lambda: router_client.failure_of(router_client.ask(stubs, cluster_channel, "And now?", sampling)) is None)


def test_the_command_line_talks_to_the_cluster(conclave, cluster):
    done = conclave("generate", "--connect", cluster.router().address, "--prompt", "Hello", "--max-tokens", "4",
                    "--temperature", "0", "--json")
    assert done.returncode == 0, done.stderr
    assert '"token_ids":[' in done.stdout


def test_the_tokenizer_answers_at_the_routers_address(stubs, cluster_channel):
    messages, tokenizer = stubs.tokenizer_pb2, stubs.tokenizer_pb2_grpc.TokenizerServiceStub(cluster_channel)
    described = tokenizer.Describe(messages.TokenizerServiceDescribeRequest(), timeout=DEADLINE_S)
    listed = tokenizer.ListTokens(messages.ListTokensRequest(), timeout=DEADLINE_S)
    assert described.vocabulary_size == listed.vocabulary_size > 1000
    text = "An owl, naïve: 日本"
    encoded, = tokenizer.Encode(iter([messages.EncodeRequest(id=7, text=text)]), timeout=DEADLINE_S)
    assert encoded.id == 7 and len(encoded.token_ids) > 3
    request = messages.DecodeRequest(sequence_id=1, token_ids=encoded.token_ids, last=True)
    decoded, = tokenizer.Decode(iter([request]), timeout=DEADLINE_S)
    assert decoded.text == text
    question = stubs.common_pb2.ChatMessage(role=stubs.common_pb2.ROLE_USER, content=text)
    rendered = tokenizer.RenderChat(messages.RenderChatRequest(messages=[question]), timeout=DEADLINE_S)
    assert text in rendered.text


def search(stubs, channel, collection: str):
    request = stubs.retriever_pb2.SearchRequest(collection=collection, query="owls")
    return stubs.retriever_pb2_grpc.RetrieverServiceStub(channel).Search(request, timeout=DEADLINE_S)


@pytest.fixture
def through_router(conclave, cluster):
    """through_router(ARGUMENTS...): what a command prints that knows the router's address only."""
    def run(*arguments: str, **options):
        done = conclave(*arguments, "--connect", cluster.router().address, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_an_answer_is_rated_at_the_routers_address(stubs, through_router, cluster_channel):
    answer = json.loads(through_router("chat", "Hello", "--max-tokens", "4", "--json"))
    rating = json.loads(through_router("rate", answer["response_id"], "--vote", "good", "--token",
                                       answer["vote_token"], "--json"))
    feedback = stubs.feedback_pb2_grpc.FeedbackServiceStub(cluster_channel)
    export = stubs.feedback_pb2.ExportRequest(format=stubs.feedback_pb2.EXPORT_FORMAT_RATINGS)
    exported = {line["rating_id"]: line for line in
                (json.loads(line.json_line) for line in feedback.Export(export, timeout=DEADLINE_S))}
    assert exported[rating["rating_id"]]["response"]["response_id"] == answer["response_id"]

    vote = stubs.feedback_pb2.Vote(stars=1)
    again = stubs.feedback_pb2.RateRequest(response_id=answer["response_id"], vote_token=answer["vote_token"],
                                           vote=vote)
    stream = feedback.RateStream(iter([stubs.feedback_pb2.RateStreamRequest(id=9, rating=again)]), timeout=DEADLINE_S)
    refused = list(stream)
    assert [one.id for one in refused] == [9] and rating["rating_id"] in refused[0].error_message
    assert refused[0].error_code == grpc.StatusCode.ALREADY_EXISTS.value[0]


def test_a_conversation_is_rated_at_the_routers_address(through_router):
    said = through_router("chat", "--max-tokens", "4", input="Hello\n/rate good\n/rate good\n")
    assert said.count("Rated good.") == 1


def test_documents_are_kept_and_found_at_the_routers_address(stubs, cluster, through_router, cluster_channel):
    folder = cluster.home.path / "animals"
    folder.mkdir()
    (folder / "owls.txt").write_text("The Zanzibar owl eats only purple figs.")
    (folder / "whales.md").write_text("# Whales\n\nThe blue whale eats krill.\n" + "It sings and swims. " * 60_000)
    kept = json.loads(through_router("ingest", str(folder), "--collection", "animals", "--json"))
    assert kept["documents"] == 2 and kept["chunks"] > 100
    found = json.loads(through_router("search", "purple figs", "--collection", "animals", "--top", "1", "--json"))
    assert [result["source"] for result in found["results"]] == [str(folder / "owls.txt")]

    retriever = stubs.retriever_pb2_grpc.RetrieverServiceStub(cluster_channel)
    listed = retriever.ListCollections(stubs.retriever_pb2.ListCollectionsRequest(), timeout=DEADLINE_S)
    assert [(one.name, one.documents) for one in listed.collections] == [("animals", 2)]
    retriever.Delete(stubs.retriever_pb2.DeleteRequest(collection="animals"), timeout=DEADLINE_S)
    with pytest.raises(grpc.RpcError) as failure:
        search(stubs, cluster_channel, "animals")
    assert failure.value.code() == grpc.StatusCode.NOT_FOUND and "animals" in failure.value.details()


def test_the_router_keeps_strangers_from_what_is_internal(stubs, cluster_channel):
    feedback = stubs.feedback_pb2_grpc.FeedbackServiceStub(cluster_channel)
    export = stubs.feedback_pb2.ExportRequest(format=stubs.feedback_pb2.EXPORT_FORMAT_RATINGS, tenant="acme")
    record = stubs.feedback_pb2.RecordRequest(response_id="made-up", prompt="Hello", text="Hi")
    for call in (lambda: feedback.Record(record, timeout=DEADLINE_S),
                 lambda: list(feedback.Export(export, timeout=DEADLINE_S))):
        with pytest.raises(grpc.RpcError) as failure:
            call()
        assert failure.value.code() == grpc.StatusCode.PERMISSION_DENIED, failure.value


def test_a_missing_retriever_is_named_and_its_return_is_noticed(stubs, cluster, cluster_channel):
    def code() -> grpc.StatusCode:
        with pytest.raises(grpc.RpcError) as failure:
            search(stubs, cluster_channel, "no-such-collection")
        if failure.value.code() == grpc.StatusCode.UNAVAILABLE:
            assert "the retriever service" in failure.value.details()
        return failure.value.code()

    assert code() == grpc.StatusCode.NOT_FOUND
    with without(cluster, "retriever"):
        assert code() == grpc.StatusCode.UNAVAILABLE
    router_client.wait_until(lambda: code() == grpc.StatusCode.NOT_FOUND, limit_s=DEADLINE_S)


def test_sigterm_lets_the_routers_forwarded_streams_finish(stubs, cluster, cluster_channel):
    retriever = stubs.retriever_pb2_grpc.RetrieverServiceStub(cluster_channel)
    documents: queue.Queue = queue.Queue()
    progress = retriever.Ingest(iter(documents.get, None), timeout=DEADLINE_S)

    def send(source: str) -> None:
        documents.put(stubs.retriever_pb2.IngestRequest(collection="late", source=source, content=b"One more thing.",
                                                        last_part=True))

    def refused() -> bool:
        with pytest.raises(grpc.RpcError) as failure:
            search(stubs, cluster_channel, "no-such-collection")
        return failure.value.code() == grpc.StatusCode.UNAVAILABLE

    router = cluster.router()
    try:
        send("before.txt")
        assert next(progress).documents == 1
        router.process.terminate()
        router_client.wait_until(refused, limit_s=DEADLINE_S)
        send("after.txt")
        documents.put(None)
        assert list(progress)[-1].documents == 2
        assert router.wait() == 0
    finally:
        documents.put(None)
        router.end()
        cluster.start("router").wait_ready()


def test_every_process_of_the_cluster_drains(program, home):
    del program
    made = conclave_process.Cluster(home, REPOSITORY / "examples/cluster.yaml")
    try:
        made.start_all()
        assert {name: server.stop() for name, server in made.servers.items()} == dict.fromkeys(made.names, 0)
    finally:
        made.end()
