"""Kills the retriever at random moments while documents stream in; no acknowledged document may be lost.

Each round ingests documents, some of them replacing earlier ones, and kills the process with SIGKILL after a random
number of acknowledgements. After the restart every acknowledged document must be found whole, in its newest
acknowledged version or a later one that was on its way, and never in two versions. CONCLAVE_TEST_SEED replays a run's
choices; CONCLAVE_TEST_ROUNDS changes the number of rounds.
"""

import os
import random
import threading

import grpc
import pytest

from support import probes

ROUNDS = int(os.environ.get("CONCLAVE_TEST_ROUNDS", "20"))
SOURCES = 40
DOCUMENTS_A_ROUND = 300
MOST_ACKNOWLEDGEMENTS = 120
MOST_PASSAGES = 4


class Ledger:
    """The versions of each source that were sent and the newest one that was acknowledged."""

    def __init__(self, chance):
        self.chance = chance
        self.sent = {}  # source: the passages' marks of each version, oldest first
        self.acknowledged = {}  # source: index into sent
        self.count = 0

    def next_document(self):
        source = f"source{self.chance.randrange(SOURCES)}"
        versions = self.sent.setdefault(source, [])
        self.count += 1
        versions.append([f"v{self.count}p{i}" for i in range(self.chance.randint(1, MOST_PASSAGES))])
        return source, len(versions) - 1

    def text(self, source, version):
        filler = " ".join(["filler"] * 150)
        return "\n\n".join(f"{source} {mark} {filler}" for mark in self.sent[source][version])


def ingest_until_killed(messages, services, probe, ledger, goal):
    """Sends documents; kills the process when `goal` are acknowledged. Returns how many were."""
    order, asked = [], threading.Event()

    def requests():
        for _ in range(DOCUMENTS_A_ROUND):
            source, version = ledger.next_document()
            order.append((source, version))
            yield messages.IngestRequest(collection="c", source=source, content=ledger.text(source, version).encode(),
                                         last_part=True)
        asked.wait(probes.CALL_LIMIT_S)

    acknowledged = 0
    try:
        for progress in services.RetrieverServiceStub(probe.channel).Ingest(requests(), timeout=probes.CALL_LIMIT_S):
            assert not progress.skipped
            acknowledged = progress.documents
            if acknowledged >= goal and probe.process.poll() is None:
                probe.kill()
    except grpc.RpcError as error:
        assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED), error
    finally:
        asked.set()
    for source, version in order[:acknowledged]:
        ledger.acknowledged[source] = version
    return acknowledged


def check_found(messages, services, probe, ledger):
    stub = services.RetrieverServiceStub(probe.channel)
    for source, oldest in ledger.acknowledged.items():
        answer = stub.Search(messages.SearchRequest(collection="c", query=source, top_n=1000),
                             timeout=probes.CALL_LIMIT_S)
        marks = sorted(word for result in answer.results for word in result.text.split()
                       if word.startswith("v") and result.source == source)
        found = [version for version in range(len(ledger.sent[source])) if sorted(ledger.sent[source][version]) == marks]
        assert found, f"{source} has the passages {marks}, which are no version of it"
        assert found[0] >= oldest, f"{source} fell back from version {oldest} to {found[0]}"
        ledger.acknowledged[source] = found[0]
    if not ledger.acknowledged:
        return
    [collection] = stub.ListCollections(messages.ListCollectionsRequest(), timeout=probes.CALL_LIMIT_S).collections
    assert len(ledger.acknowledged) <= collection.documents <= SOURCES


@pytest.mark.slow
def test_no_acknowledged_document_is_lost(tmp_path, stubs):
    seed = int(os.environ.get("CONCLAVE_TEST_SEED", random.SystemRandom().getrandbits(32)))
    print(f"replay with CONCLAVE_TEST_SEED={seed}")
    chance = random.Random(seed)
    ledger, total = Ledger(chance), 0
    for _ in range(ROUNDS):
        with probes.ServiceProbe("retriever", tmp_path / "data", tmp_path / "s") as probe:
            check_found(stubs.retriever_pb2, stubs.retriever_pb2_grpc, probe, ledger)
            goal = chance.randint(1, MOST_ACKNOWLEDGEMENTS)
            total += ingest_until_killed(stubs.retriever_pb2, stubs.retriever_pb2_grpc, probe, ledger, goal)
    with probes.ServiceProbe("retriever", tmp_path / "data", tmp_path / "s") as probe:
        check_found(stubs.retriever_pb2, stubs.retriever_pb2_grpc, probe, ledger)
    print(f"seed {seed}: {ROUNDS} kills, {total} documents acknowledged, {ledger.count} sent")
    assert total >= ROUNDS, "too little happened to prove anything"
