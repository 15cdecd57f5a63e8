"""Several answers to one prompt: each is that of a request of its own, and the prompt is computed once."""

import json

import grpc
import pytest

from support import router_client
from support.time_limits import scaled

QUESTION = "Name three animals that live in the sea, and say one thing about each of them."
SAMPLING = {"temperature": 0.9, "seed": 4000, "max_tokens": 12}
ANSWERS = 4


def by_answer(events, kind: str) -> dict[int, list]:
    """The events of one kind by their answer, in order."""
    found: dict[int, list] = {}
    for event in events:
        if event.WhichOneof("event") == kind:
            made = getattr(event, kind)
            found.setdefault(made.answer, []).append(made)
    return found


def tokens_by_answer(events) -> dict[int, list[int]]:
    return {answer: [token for delta in deltas for token in delta.token_ids]
            for answer, deltas in by_answer(events, "delta").items()}


@pytest.fixture(scope="module")
def asked(stubs, server):
    with grpc.insecure_channel(server.address) as channel:
        yield list(router_client.ask(stubs, channel, QUESTION, SAMPLING, answers=ANSWERS))


def test_each_answer_is_that_of_a_request_with_its_seed(stubs, channel, asked):
    together = tokens_by_answer(asked)
    assert sorted(together) == list(range(ANSWERS))
    for answer, tokens in together.items():
        sampling = {**SAMPLING, "seed": SAMPLING["seed"] + answer}
        assert router_client.tokens_of(router_client.ask(stubs, channel, QUESTION, sampling)) == tokens
        assert by_answer(asked, "finished")[answer][0].seed == sampling["seed"]
    assert len({tuple(tokens) for tokens in together.values()}) > 1


def test_the_prompt_is_computed_once(asked):
    usages = {answer: finished[0].usage for answer, finished in by_answer(asked, "finished").items()}
    assert all(usage.prompt_tokens > 0 and usage.prompt_tokens % 32 for usage in usages.values())
    for answer in range(1, ANSWERS):
        assert usages[answer].cached_prompt_tokens == usages[answer].prompt_tokens
    computed = sum(usage.prompt_tokens - usage.cached_prompt_tokens for usage in usages.values())
    assert 0 < computed <= usages[0].prompt_tokens


def test_the_prompt_is_computed_once_without_a_prefix_cache(stubs, start_server, tmp_path):
    settings = tmp_path / "no-cache.yaml"
    settings.write_text("limits: {prefix_cache_bytes: 0}\n")
    server = start_server("--config", str(settings))
    with grpc.insecure_channel(server.address) as channel:
        events = list(router_client.ask(stubs, channel, QUESTION, SAMPLING, answers=ANSWERS))
        single = router_client.tokens_of(router_client.ask(stubs, channel, QUESTION, {**SAMPLING, "seed": 4002}))
    usages = [finished[0].usage for _, finished in sorted(by_answer(events, "finished").items())]
    assert sum(usage.prompt_tokens - usage.cached_prompt_tokens for usage in usages) == usages[0].prompt_tokens
    assert tokens_by_answer(events)[2] == single


def test_each_is_rated_as_its_own(stubs, channel, asked):
    started, finished = by_answer(asked, "started"), by_answer(asked, "finished")
    assert len({events[0].response_id for events in started.values()}) == ANSWERS
    feedback = stubs.feedback_pb2_grpc.FeedbackServiceStub(channel)
    ratings = set()
    for answer in range(ANSWERS):
        vote = stubs.feedback_pb2.Vote(thumb=stubs.feedback_pb2.THUMB_GOOD)
        request = stubs.feedback_pb2.RateRequest(response_id=started[answer][0].response_id,
                                                 vote_token=finished[answer][0].vote_token, vote=vote)
        ratings.add(feedback.Rate(request, timeout=router_client.LIMIT_S).rating_id)
    assert len(ratings) == ANSWERS


def test_cancelling_stops_all_of_them(stubs, channel):
    endless = {"temperature": 0.9, "max_tokens": 1500, "ignore_eos": True}
    events = router_client.ask(stubs, channel, "Count to a thousand.", endless, answers=3)
    for event in events:
        if event.WhichOneof("event") == "delta":
            break
    assert router_client.decoder_status(stubs, channel).running_sequences == 3
    events.cancel()
    router_client.wait_until(lambda: router_client.decoder_status(stubs, channel).running_sequences == 0,
                             limit_s=scaled(2))


@pytest.mark.parametrize("fields, named", [({"answers": 17}, "answers is 17"),
                                           ({"answers": 2, "session_id": "s-1"}, "session")])
def test_what_makes_no_sense_is_refused(stubs, channel, fields, named):
    failure = router_client.failure_of(router_client.ask(stubs, channel, "Hi", SAMPLING, **fields))
    assert failure.code() == grpc.StatusCode.INVALID_ARGUMENT and named in failure.details()


def generate(conclave, *options: str) -> str:
    done = conclave("generate", "--prompt", QUESTION, "--temperature", "0.9", "--max-tokens", "8", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_generate_gives_a_list_of_answers(conclave, server):
    there = ("--connect", server.address)
    single = json.loads(generate(conclave, *there, "--seed", "71", "--json"))
    several = json.loads(generate(conclave, *there, "--seed", "70", "--json", "--answers", "2"))
    assert set(several) == {"answers", "prompt_token_ids", "model", "model_hash"}
    assert several["prompt_token_ids"] == single["prompt_token_ids"]
    assert [answer["seed"] for answer in several["answers"]] == [70, 71]
    for key in ("text", "token_ids", "finish_reason", "seed"):
        assert several["answers"][1][key] == single[key]
    assert several["answers"][1]["cached_prompt_tokens"] == len(several["prompt_token_ids"])
    printed = generate(conclave, *there, "--seed", "70", "--answers", "2")
    texts = [answer["text"] for answer in several["answers"]]
    assert printed == f"--- answer 1, seed 70\n{texts[0]}\n--- answer 2, seed 71\n{texts[1]}\n"
