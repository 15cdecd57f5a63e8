"""A full disk ends an ingest with what to do about it; what was acknowledged is found, then and after a restart."""

import base64
import os
import time

import grpc

from support import probes

# Larger documents would be cut into more passages than a group may write at once.
DOCUMENT_BYTES = 1 << 18
MOST_DOCUMENTS = 1000
RECOVERY_LIMIT_S = 60
DISK_ERRORS = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)


class Library:
    """Ingests into one collection, one document a call, and finds what was acknowledged."""

    def __init__(self, stubs, probe):
        self.messages = stubs.retriever_pb2
        self.stub = stubs.retriever_pb2_grpc.RetrieverServiceStub(probe.channel)

    def ingest(self, source: str) -> None:
        """A document that only its own name finds; its other words are as many and as new as fit."""
        words = base64.b32encode(os.urandom(DOCUMENT_BYTES * 5 // 8)).decode()
        text = f"{source} " + " ".join(words[at:at + 12] for at in range(0, len(words), 12))
        request = self.messages.IngestRequest(collection="c", source=source, content=text.encode(), last_part=True)
        last = list(self.stub.Ingest(iter([request]), timeout=probes.CALL_LIMIT_S))[-1]
        assert (last.documents, dict(last.skipped)) == (1, {})

    def fill(self, prefix: str) -> tuple[list[str], grpc.RpcError]:
        """Ingests until one document is refused: those before it, and the refusal."""
        stored = []
        for number in range(MOST_DOCUMENTS):
            try:
                self.ingest(f"{prefix}{number}")
                stored.append(f"{prefix}{number}")
            except grpc.RpcError as error:
                return stored, error
        raise AssertionError("the disk did not fill up")

    def ingest_when_there_is_room(self, source: str) -> None:
        """A store that ran out of space takes a moment to see that there is some again."""
        deadline = time.monotonic() + RECOVERY_LIMIT_S
        while True:
            try:
                return self.ingest(source)
            except grpc.RpcError as error:
                assert error.code() in DISK_ERRORS and time.monotonic() < deadline, error

    def found(self, sources: list[str]) -> list[str]:
        """Those of `sources` that a search for their name finds."""
        def finds(source: str) -> bool:
            request = self.messages.SearchRequest(collection="c", query=source, top_n=1)
            results = self.stub.Search(request, timeout=probes.CALL_LIMIT_S).results
            return [result.source for result in results] == [source]

        return [source for source in sources if finds(source)]


def test_full_disk_keeps_every_acknowledged_document(stubs, small_disk, tmp_path):
    socket = tmp_path / "s"
    with probes.ServiceProbe("retriever", small_disk.data, socket) as probe:
        library = Library(stubs, probe)
        stored, refusal = library.fill("before")
        assert stored and refusal.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, refusal
        assert "\n" not in refusal.details() and "space" in refusal.details(), refusal.details()
        assert library.found(stored) == stored
        small_disk.ballast.unlink()
        library.ingest_when_there_is_room("after")
        probe.kill()
    with probes.ServiceProbe("retriever", small_disk.data, socket) as probe:
        library = Library(stubs, probe)
        assert library.found([*stored, "after"]) == [*stored, "after"]
