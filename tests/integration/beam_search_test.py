"""Beam search through the router: the best answers with their scores, alone and beside other requests."""

import json

import grpc
import pytest

from support import router_client
from support.time_limits import scaled

QUESTION = "Name three animals that live in the sea, and say one thing about each of them."
ANSWERS = 3
SAMPLING = {"max_tokens": 12, "beam_search": {"beams": 4, "length_penalty": 0.5}, "logprobs": 0,
            "repetition_penalty": 1.0}


def found(events) -> list[tuple[list[int], float, float]]:
    """Each answer's tokens, the sum of their log-probabilities, and its score."""
    answers = [([], [], []) for _ in range(ANSWERS)]
    for event in events:
        if event.WhichOneof("event") == "delta":
            answers[event.delta.answer][0].extend(event.delta.token_ids)
            answers[event.delta.answer][1].extend(place.chosen.logprob for place in event.delta.logprobs)
        elif event.WhichOneof("event") == "finished":
            answers[event.finished.answer][2].append(event.finished.beam_score)
    return [(tokens, sum(logprobs), score) for tokens, logprobs, (score,) in answers]


def test_best_answers_come_first_with_their_scores(stubs, channel):
    answers = found(router_client.ask(stubs, channel, QUESTION, SAMPLING, answers=ANSWERS))
    scores = [score for _, _, score in answers]
    assert scores == sorted(scores, reverse=True) and len({tuple(tokens) for tokens, _, _ in answers}) == ANSWERS
    for tokens, total, score in answers:  # Each log-probability was rounded to float32.
        assert score * len(tokens)**0.5 == pytest.approx(total, abs=len(tokens) * 1e-6)
    greedy = {"temperature": 0, "max_tokens": 12, "logprobs": 0, "repetition_penalty": 1.0}
    events = list(router_client.ask(stubs, channel, QUESTION, greedy))
    logprobs = [place.chosen.logprob for event in events for place in event.delta.logprobs]
    assert scores[0] >= sum(logprobs) / len(logprobs)**0.5


def test_the_same_beside_other_requests(stubs, channel):
    alone = found(router_client.ask(stubs, channel, QUESTION, SAMPLING, answers=ANSWERS))
    endless = {"temperature": 0.9, "max_tokens": 1500, "ignore_eos": True}
    other = router_client.ask(stubs, channel, "Count to a thousand.", endless)
    for event in other:
        if event.WhichOneof("event") == "delta":
            break
    assert found(router_client.ask(stubs, channel, QUESTION, SAMPLING, answers=ANSWERS)) == alone
    other.cancel()


def test_cancelling_frees_all_beams(stubs, channel):
    router_client.wait_until(lambda: router_client.decoder_status(stubs, channel).running_sequences == 0,
                             limit_s=scaled(5))
    endless = {"max_tokens": 1500, "ignore_eos": True, "beam_search": {"beams": 5}}
    call = router_client.ask(stubs, channel, "Count to a thousand.", endless, answers=2)
    router_client.wait_until(lambda: router_client.decoder_status(stubs, channel).running_sequences == 5)
    assert router_client.decoder_status(stubs, channel).running_sequences == 5, "they run until they are cancelled"
    call.cancel()
    router_client.wait_until(lambda: router_client.decoder_status(stubs, channel).running_sequences == 0,
                             limit_s=scaled(2))


@pytest.mark.parametrize("sampling, answers, named", [
    ({"beam_search": {"beams": 17}}, 1, "beams is 17"), ({"beam_search": {}}, 1, "beams is 0"),
    ({"beam_search": {"beams": 2}}, 3, "answers is 3"),
    ({"beam_search": {"beams": 2}, "temperature": 0}, 1, "temperature"),
    ({"beam_search": {"beams": 2}, "stop": ["."]}, 1, "stop"),
    ({"beam_search": {"beams": 2, "length_penalty": 11}}, 1, "length_penalty is 11")])
def test_what_makes_no_sense_is_refused(stubs, channel, sampling, answers, named):
    failure = router_client.failure_of(router_client.ask(stubs, channel, "Hi", sampling, answers=answers))
    assert failure.code() == grpc.StatusCode.INVALID_ARGUMENT and named in failure.details()


def test_generate_gives_scores(conclave, server):
    def generate(*options: str) -> str:
        done = conclave("generate", "--connect", server.address, "--prompt", QUESTION, "--max-tokens", "8", "--beams",
                        "3", *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    best = json.loads(generate("--json"))
    several = json.loads(generate("--json", "--answers", "2"))["answers"]
    assert several[0]["token_ids"] == best["token_ids"] and several[0]["score"] == best["score"]
    assert several[0]["score"] >= several[1]["score"]
    printed = generate("--answers", "2")
    assert [line.split(",")[0] for line in printed.splitlines() if line.startswith("--- ")] == ["--- answer 1",
                                                                                                "--- answer 2"]
    assert several[1]["text"] in printed and "score -" in printed
    assert generate() == best["text"] + "\n"
