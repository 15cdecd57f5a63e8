"""Kills the feedback process at random moments; no acknowledged rating may be lost or counted twice.

Each round, several clients record answers and rate them in every way; after a random number of acknowledgements the
process is killed with SIGKILL while calls are under way. It is started again on the same data, and an export must hold
every rating that was acknowledged in any round exactly once, as it was sent and bound to the answer as it was
recorded. CONCLAVE_TEST_SEED replays a run's choices; CONCLAVE_TEST_ROUNDS changes the number of rounds.
"""

import json
import os
import random
import threading

import grpc
import pytest
from google.protobuf import json_format

from support import probes

ROUNDS = int(os.environ.get("CONCLAVE_TEST_ROUNDS", "50"))
CLIENTS = 4
MOST_ACKNOWLEDGEMENTS = 60
PROMPTS = 5


class Ledger:
    """What the clients sent, and what of it was acknowledged. Any thread may call."""

    def __init__(self):
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.acknowledgements = 0
        self.records = {}  # response_id: RecordRequest that was acknowledged
        self.tokens = {}  # response_id: its vote token
        self.attempts = {}  # response_id: every rating that was sent for it
        self.ratings = {}  # rating_id: RateRequest that was acknowledged
        self.unanswered = []  # RateRequest whose fate nobody knows

    def recorded(self, record, token):
        with self.lock:
            assert self.tokens.setdefault(record.response_id, token) == token, "one answer has one token"
            self.records[record.response_id] = record
            self._count()

    def sent(self, rating):
        with self.lock:
            self.attempts.setdefault(rating.response_id, []).append(rating)

    def rated(self, rating_id, rating):
        with self.lock:
            assert rating_id not in self.ratings
            self.ratings[rating_id] = rating
            self._count()

    def lost(self, rating):
        with self.lock:
            self.unanswered.append(rating)

    def _count(self):
        self.acknowledgements += 1
        self.changed.notify_all()

    def wait_for(self, count):
        with self.lock:
            assert self.changed.wait_for(lambda: self.acknowledgements >= count, timeout=probes.CALL_LIMIT_S)


class Client(threading.Thread):
    """Records and rates until the process is gone."""

    def __init__(self, messages, common, stub, ledger, seed, name):
        super().__init__(name=name)
        self.messages, self.common, self.stub, self.ledger = messages, common, stub, ledger
        self.random = random.Random(seed)
        self.count = 0
        self.error = None

    def run(self):
        try:
            while True:
                self._record_and_rate()
        except grpc.RpcError as error:
            # The process is gone: nothing else may fail.
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                self.error = error
        except Exception as error:  # noqa: BLE001: the test reports it
            self.error = error

    def _record_and_rate(self):
        first = self._record(self.random.randrange(PROMPTS))
        kind = self.random.choice(("thumb", "stars", "correction", "preference", "none"))
        if kind == "none":
            return
        vote = self.messages.Vote()
        if kind == "thumb":
            vote.thumb = self.random.choice((self.messages.THUMB_GOOD, self.messages.THUMB_BAD))
        elif kind == "stars":
            vote.stars = self.random.randint(1, 5)
        elif kind == "correction":
            vote.correction = "better " + "é" * self.random.choice((0, 10, 10_000))
        else:
            other = self._record(int(first.messages[0].content.split()[-1]))
            vote.preference.other_response_id = other.response_id
            vote.preference.other_vote_token = self.ledger.tokens[other.response_id]
            vote.preference.outcome = self.random.randint(1, 3)
        self._rate(first.response_id, vote)

    def _record(self, prompt):
        self.count += 1
        tokens = [self.random.randrange(50_000) for _ in range(self.random.choice((1, 20, 500)))]
        record = self.messages.RecordRequest(
            response_id=f"{self.name}-{self.count}", text=f"answer {self.name} {self.count}", token_ids=tokens,
            model=self.common.ModelIdentity(name="m", model_hash="ab" * 32, adapter_hash=self.name),
            messages=[self.common.ChatMessage(role=self.common.ROLE_USER, content=f"prompt {prompt}")],
            sampling_logprobs=[-self.random.random() for _ in tokens], seed=self.random.getrandbits(64))
        answer = self.stub.Record(record, timeout=probes.CALL_LIMIT_S)
        self.ledger.recorded(record, answer.vote_token)
        return record

    def _rate(self, response_id, vote):
        rating = self.messages.RateRequest(response_id=response_id, vote_token=self.ledger.tokens[response_id],
                                           vote=vote, comment=self.random.choice(("", "because")))
        self.ledger.sent(rating)
        try:
            answer = self.stub.Rate(rating, timeout=probes.CALL_LIMIT_S)
        except grpc.RpcError:
            self.ledger.lost(rating)
            raise
        self.ledger.rated(answer.rating_id, rating)
        if self.random.random() < 0.2:
            self._expect_used(rating)

    def _expect_used(self, rating):
        try:
            self.stub.Rate(rating, timeout=probes.CALL_LIMIT_S)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.ALREADY_EXISTS:
                raise
        else:
            raise AssertionError(f"the token of {rating.response_id} was used twice")


def without_tokens(rating):
    kept = type(rating)()
    kept.CopyFrom(rating)
    kept.ClearField("vote_token")
    if kept.vote.HasField("preference"):
        kept.vote.preference.ClearField("other_vote_token")
    return kept


def read_export(messages, stub):
    request = messages.ExportRequest(format=messages.EXPORT_FORMAT_RATINGS)
    lines = stub.Export(request, timeout=probes.CALL_LIMIT_S)
    return [json_format.ParseDict(json.loads(line.json_line), messages.ExportedRating()) for line in lines]


def check_answer(ledger, answer):
    """The answer in the export is the one that was recorded, to the last bit."""
    sent = ledger.records[answer.response_id]
    expected = type(sent)()
    expected.CopyFrom(sent)
    expected.tenant = "default"
    assert answer == expected


def check_export(ledger, exported, before):
    ids = [rating.rating_id for rating in exported]
    assert len(set(ids)) == len(ids), "a rating is there twice"
    missing = ledger.ratings.keys() - set(ids)
    assert not missing, f"{len(missing)} acknowledged ratings are lost"
    assert ids[:len(before)] == before, "the order of what was exported before changed"
    used = []
    for rating in exported:
        sent = ledger.ratings.get(rating.rating_id)
        candidates = [sent] if sent is not None else ledger.attempts[rating.rating.response_id]
        assert rating.rating in [without_tokens(candidate) for candidate in candidates]
        check_answer(ledger, rating.response)
        used.append(rating.response.response_id)
        if rating.rating.vote.HasField("preference"):
            check_answer(ledger, rating.other_response)
            used.append(rating.other_response.response_id)
    assert len(set(used)) == len(used), "a vote token counted twice"
    return ids


def retry_unanswered(messages, stub, ledger, exported_ids, exported):
    """A rating whose answer never came is on disk or its token is unused; never in between."""
    present = {rating.rating.response_id: rating.rating_id for rating in exported}
    for rating in ledger.unanswered:
        try:
            answer = stub.Rate(rating, timeout=probes.CALL_LIMIT_S)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.ALREADY_EXISTS
            assert rating.response_id in present
            assert present[rating.response_id] in error.details()
            ledger.ratings[present[rating.response_id]] = rating
        else:
            assert rating.response_id not in present
            ledger.rated(answer.rating_id, rating)
    ledger.unanswered.clear()


@pytest.mark.slow
def test_no_acknowledged_rating_is_lost(tmp_path, stubs):
    seed = int(os.environ.get("CONCLAVE_TEST_SEED", random.SystemRandom().getrandbits(32)))
    print(f"replay with CONCLAVE_TEST_SEED={seed}")
    chance = random.Random(seed)
    messages, common, services = stubs.feedback_pb2, stubs.common_pb2, stubs.feedback_pb2_grpc
    ledger, exported_ids, reappeared = Ledger(), [], 0
    for number in range(ROUNDS):
        with probes.ServiceProbe("feedback", tmp_path / "data", tmp_path / "s") as probe:
            stub = services.FeedbackServiceStub(probe.channel)
            exported = read_export(messages, stub)
            exported_ids = check_export(ledger, exported, exported_ids)
            reappeared += len(exported_ids) - len(ledger.ratings)
            retry_unanswered(messages, stub, ledger, exported_ids, exported)
            clients = [Client(messages, common, stub, ledger, f"{seed}/{number}/{i}", f"r{number}c{i}")
                       for i in range(CLIENTS)]
            goal = ledger.acknowledgements + chance.randint(0, MOST_ACKNOWLEDGEMENTS)
            for one in clients:
                one.start()
            ledger.wait_for(goal)
            probe.kill()
            for one in clients:
                one.join()
            errors = [f"{one.name}: {one.error!r}" for one in clients if one.error]
            assert not errors, f"seed {seed}: {errors}"
    with probes.ServiceProbe("feedback", tmp_path / "data", tmp_path / "s") as probe:
        stub = services.FeedbackServiceStub(probe.channel)
        check_export(ledger, read_export(messages, stub), exported_ids)
        for response_id, record in random.Random(seed).sample(sorted(ledger.records.items()), 20):
            assert stub.Record(record).vote_token == ledger.tokens[response_id]
        probe.stop()
    print(f"seed {seed}: {ROUNDS} kills, {len(ledger.records)} answers and {len(ledger.ratings)} ratings acknowledged, "
          f"{reappeared} on disk though their answer never came")
    assert len(ledger.ratings) > ROUNDS, "too little happened to prove anything"
