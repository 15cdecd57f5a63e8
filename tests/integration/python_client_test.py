"""A Python client made from the protos alone talks to a running server."""

import json
import urllib.error
import urllib.request

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from support import router_client
from support.time_limits import scaled

LIMIT_S = router_client.LIMIT_S
# Far more than is awaited of any answer here: only cancelling or draining ends it early.
ENDLESS = {"temperature": 0, "max_tokens": 1500, "ignore_eos": True}


def ask(stubs, channel, text: str, **sampling):
    """The events of one chat."""
    return list(router_client.ask(stubs, channel, text, sampling))


def test_a_chat_streams_started_deltas_finished(stubs, channel):
    events = [event.WhichOneof("event") for event in ask(stubs, channel, "What is the capital of France?",
                                                         temperature=0, max_tokens=24)]
    assert events[0] == "started" and events[-1] == "finished"
    assert events.count("started") == events.count("finished") == 1 and events.count("delta") >= 3


def test_an_answer_adds_up(stubs, channel):
    events = ask(stubs, channel, "What is the capital of France?", temperature=0, max_tokens=24)
    assert router_client.text_of(events).strip()
    finished = events[-1].finished
    assert finished.usage.completion_tokens == len(router_client.tokens_of(events)) <= 24
    assert events[0].started.model.name == "smollm2-135m-instruct"
    assert len(events[0].started.model.model_hash) == 64
    assert finished.usage.prompt_tokens == events[0].started.prompt_tokens


def test_the_default_model_knows_the_capital_of_france(stubs, channel):
    request = stubs.router_pb2.CompleteRequest(
        prompt="The capital of France is", sampling=stubs.common_pb2.SamplingParams(temperature=0, max_tokens=4))
    events = list(stubs.router_pb2_grpc.RouterServiceStub(channel).Complete(request, timeout=LIMIT_S))
    assert "Paris" in router_client.text_of(events)


def test_the_same_seed_gives_the_same_tokens(stubs, channel):
    runs = [ask(stubs, channel, "Tell me a joke", temperature=0.8, seed=7, max_tokens=16) for _ in range(2)]
    first, second = map(router_client.tokens_of, runs)
    assert first == second and first


@pytest.mark.parametrize("sampling", [{"temperature": -1}, {"top_p": 2.0}, {"min_p": float("nan")},
                                      {"stop": [""]}, {"logprobs": 21}])
def test_absurd_sampling_is_refused_with_a_reason(stubs, channel, sampling):
    with pytest.raises(grpc.RpcError) as failure:
        ask(stubs, channel, "Hello", **sampling)
    assert failure.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert next(iter(sampling)) in failure.value.details()


def test_an_unknown_model_is_not_found(stubs, channel):
    messages = [stubs.common_pb2.ChatMessage(role=stubs.common_pb2.ROLE_USER, content="Hello")]
    request = stubs.router_pb2.ChatRequest(model="no-such-model", messages=messages)
    with pytest.raises(grpc.RpcError) as failure:
        list(stubs.router_pb2_grpc.RouterServiceStub(channel).Chat(request, timeout=LIMIT_S))
    assert failure.value.code() == grpc.StatusCode.NOT_FOUND and "no-such-model" in failure.value.details()


def test_health_is_serving(channel):
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=LIMIT_S)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_every_public_service(channel):
    services = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert {"conclave.v1.RouterService", "conclave.v1.FeedbackService", "grpc.health.v1.Health"} <= services


def test_metrics_and_readiness_are_served(server):
    with urllib.request.urlopen(f"http://{server.http}/readyz", timeout=LIMIT_S) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=LIMIT_S) as answer:
        assert "\n# TYPE conclave_" in "\n" + answer.read().decode()


def test_a_session_remembers_and_is_forgotten(stubs, channel):
    router = stubs.router_pb2_grpc.RouterServiceStub(channel)
    sampling = {"temperature": 0, "max_tokens": 8}
    answers = [router_client.text_of(router_client.ask(stubs, channel, text, sampling, session_id="session-1"))
               for text in ("My name is Ada.", "What is my name?")]
    stored = router.GetSession(stubs.router_pb2.GetSessionRequest(session_id="session-1"), timeout=LIMIT_S)
    assert [message.content for message in stored.messages] == ["My name is Ada.", answers[0],
                                                                "What is my name?", answers[1]]
    fresh = list(router_client.ask(stubs, channel, "What is my name?", sampling))
    again = list(router_client.ask(stubs, channel, "What is my name?", sampling, session_id="session-1"))
    assert again[0].started.prompt_tokens > fresh[0].started.prompt_tokens

    forget = stubs.router_pb2.DeleteSessionRequest(session_id="session-1")
    router.DeleteSession(forget, timeout=LIMIT_S)
    for call, request in ((router.GetSession, stubs.router_pb2.GetSessionRequest(session_id="session-1")),
                          (router.DeleteSession, forget)):
        with pytest.raises(grpc.RpcError) as failure:
            call(request, timeout=LIMIT_S)
        assert failure.value.code() == grpc.StatusCode.NOT_FOUND and "session-1" in failure.value.details()


def ingest(stubs, channel, collection: str, documents: dict[str, str]) -> None:
    retriever = stubs.retriever_pb2_grpc.RetrieverServiceStub(channel)
    requests = [stubs.retriever_pb2.IngestRequest(collection=collection, source=source, content=text.encode(),
                                                  format=stubs.retriever_pb2.DOCUMENT_FORMAT_TEXT, last_part=True)
                for source, text in documents.items()]
    progress = list(retriever.Ingest(iter(requests), timeout=LIMIT_S))
    assert progress[-1].documents == len(documents) and not progress[-1].skipped


def test_a_chat_reads_what_was_ingested(stubs, channel):
    ingest(stubs, channel, "animals", {"owls.txt": "The Zanzibar owl eats only purple figs.",
                                       "whales.txt": "The blue whale eats krill in cold water."})
    question = "What does the Zanzibar owl eat?"
    sampling = {"temperature": 0, "max_tokens": 4}
    with_passages = list(router_client.ask(stubs, channel, question, sampling, collection="animals", top_n=1))
    without = list(router_client.ask(stubs, channel, question, sampling))
    passages = with_passages[0].started.passages
    assert [passage.source for passage in passages] == ["owls.txt"] and "purple figs" in passages[0].text
    assert with_passages[0].started.prompt_tokens > without[0].started.prompt_tokens
    assert not without[0].started.passages


def test_an_answer_can_be_rated_once(stubs, channel):
    events = list(router_client.ask(stubs, channel, "Hello", {"temperature": 0.8, "seed": 5, "max_tokens": 6}))
    feedback = stubs.feedback_pb2_grpc.FeedbackServiceStub(channel)
    response_id, token = events[0].started.response_id, events[-1].finished.vote_token
    vote = stubs.feedback_pb2.Vote(thumb=stubs.feedback_pb2.THUMB_GOOD)
    rating = stubs.feedback_pb2.RateRequest(response_id=response_id, vote_token=token, vote=vote)
    rating_id = feedback.Rate(rating, timeout=LIMIT_S).rating_id

    export = stubs.feedback_pb2.ExportRequest(format=stubs.feedback_pb2.EXPORT_FORMAT_RATINGS)
    lines = [line.json_line for line in feedback.Export(export, timeout=LIMIT_S)]
    found = [line for line in map(json.loads, lines) if line["rating_id"] == rating_id]
    assert len(found) == 1
    record = found[0]["response"]
    assert record["response_id"] == response_id and record["seed"] == "5"
    assert record["token_ids"] == router_client.tokens_of(events)
    assert record["text"] == router_client.text_of(events)
    assert record["model"]["model_hash"] == events[0].started.model.model_hash
    assert len(record["sampling_logprobs"]) == len(record["token_ids"])

    other = stubs.feedback_pb2.RateRequest(response_id=response_id, vote_token=token,
                                           vote=stubs.feedback_pb2.Vote(thumb=stubs.feedback_pb2.THUMB_BAD))
    with pytest.raises(grpc.RpcError) as failure:
        feedback.Rate(other, timeout=LIMIT_S)
    assert failure.value.code() == grpc.StatusCode.ALREADY_EXISTS


def test_cancelling_stops_the_decoder(stubs, channel):
    events = router_client.ask(stubs, channel, "Count to a thousand.", ENDLESS)
    for event in events:
        if event.WhichOneof("event") == "delta":
            break
    assert router_client.decoder_status(stubs, channel).running_sequences == 1
    events.cancel()
    # The whole answer would take far longer than this.
    router_client.wait_until(lambda: router_client.decoder_status(stubs, channel).running_sequences == 0,
                             limit_s=scaled(2))


def test_a_deadline_ends_the_work_too(stubs, channel):
    call = router_client.ask(stubs, channel, "Count to a thousand.", ENDLESS, limit_s=0.7)
    assert router_client.failure_of(call).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    router_client.wait_until(lambda: router_client.decoder_status(stubs, channel).running_sequences == 0,
                             limit_s=scaled(2))


def test_sigterm_ends_an_idle_server_with_0(start_server):
    server = start_server()
    assert server.stop() == 0
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{server.http}/readyz", timeout=LIMIT_S)


def test_sigterm_lets_a_running_answer_finish(stubs, start_server):
    server = start_server()
    tokens = round(200 / scaled(1))  # a slower engine must end within the drain timeout too
    with grpc.insecure_channel(server.address) as channel:
        running = router_client.ask(stubs, channel, "Count to a thousand.", {**ENDLESS, "max_tokens": tokens})
        events = [next(running), next(running)]
        server.process.terminate()

        def refused() -> bool:
            late = router_client.ask(stubs, channel, "Hello", {"max_tokens": 1})
            failure = router_client.failure_of(late)
            assert failure is None or failure.code() == grpc.StatusCode.UNAVAILABLE
            return failure is not None

        router_client.wait_until(refused)
        events += running
    assert events[-1].WhichOneof("event") == "finished" and len(router_client.tokens_of(events)) == tokens
    assert server.wait() == 0
