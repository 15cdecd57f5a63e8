"""A full disk fails exactly the ratings it cannot hold, uses up none of their vote tokens, and loses nothing else."""

import base64
import os
import resource
import signal
import time

import grpc
import pytest

from support import probes

TEXT_BYTES = 1 << 20
MOST_RECORDS = 200
MOST_ATTEMPTS = 10
FILE_LIMIT_BYTES = 8 << 20
RECOVERY_LIMIT_S = 60
DISK_ERRORS = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)


@pytest.fixture(scope="module")
def contract(stubs):
    return stubs.feedback_pb2, stubs.common_pb2, stubs.feedback_pb2_grpc


def incompressible_text():
    """Text that fills a disk, whatever the store does to make it smaller."""
    return base64.b64encode(os.urandom(TEXT_BYTES * 3 // 4)).decode()


class Session:
    """Records and rates through one probe."""

    def __init__(self, contract, probe):
        self.messages, self.common, services = contract
        self.stub = services.FeedbackServiceStub(probe.channel)
        self.large = 0

    def record(self, response_id, text="small"):
        answer = self.messages.RecordRequest(
            response_id=response_id, text=text,
            messages=[self.common.ChatMessage(role=self.common.ROLE_USER, content="hello")])
        return self.stub.Record(answer, timeout=probes.CALL_LIMIT_S).vote_token

    def rate(self, response_id, token, correction):
        rating = self.messages.RateRequest(response_id=response_id, vote_token=token,
                                           vote=self.messages.Vote(correction=correction))
        return self.stub.Rate(rating, timeout=probes.CALL_LIMIT_S).rating_id

    def rated_ids(self):
        request = self.messages.ExportRequest(format=self.messages.EXPORT_FORMAT_RATINGS)
        return [line.rating_ids[0] for line in self.stub.Export(request, timeout=probes.CALL_LIMIT_S)]

    def fill(self):
        """Records large answers until one fails; the failure's code."""
        for _ in range(MOST_RECORDS):
            try:
                self.record(f"large-{self.large}", incompressible_text())
                self.large += 1
            except grpc.RpcError as error:
                return error.code()
        raise AssertionError("the disk did not fill up")

    def rate_until_refused(self):
        """Fills the disk and rates small answers until one is refused: (ratings stored, response, its token, code).

        The store may find a little room again by itself, so one refusal does not make the next one certain.
        """
        stored = []
        for number in range(MOST_ATTEMPTS):
            token = self.until_stored(self.record, f"during-{number}")
            self.fill()
            try:
                stored.append(self.rate(f"during-{number}", token, incompressible_text()))
            except grpc.RpcError as error:
                return stored, f"during-{number}", token, error.code()
        raise AssertionError("the full disk refused nothing")

    def until_stored(self, call, *arguments):
        """A store that ran out of space takes a moment to see that there is some again."""
        deadline = time.monotonic() + RECOVERY_LIMIT_S
        while time.monotonic() < deadline:
            try:
                return call(*arguments)
            except grpc.RpcError as error:
                assert error.code() in DISK_ERRORS, error
        raise AssertionError("the store did not recover")


def fill_and_be_refused(session, expected_codes):
    """Ratings that were stored on a disk that fills up, and one that was refused: (stored, response, its token)."""
    token = session.record("before")
    stored = [session.rate("before", token, "kept")]
    between, response_id, token, code = session.rate_until_refused()
    stored += between
    assert code in expected_codes
    assert session.rated_ids() == stored, "a refused rating is not there"
    return stored, response_id, token


def check_kept(session, stored, response_id, token):
    assert session.rated_ids() == stored
    with pytest.raises(grpc.RpcError) as used:
        session.rate(response_id, token, "again")
    assert used.value.code() == grpc.StatusCode.ALREADY_EXISTS


def test_full_disk_fails_only_what_it_cannot_hold(contract, small_disk, tmp_path):
    """The same process takes ratings again when there is room."""
    data, socket = small_disk.data, tmp_path / "s"
    with probes.ServiceProbe("feedback", data, socket) as probe:
        session = Session(contract, probe)
        stored, response_id, token = fill_and_be_refused(session, [grpc.StatusCode.RESOURCE_EXHAUSTED])
        small_disk.ballast.unlink()
        stored.append(session.until_stored(session.rate, response_id, token, incompressible_text()))
        probe.kill()
    with probes.ServiceProbe("feedback", data, socket) as probe:
        check_kept(Session(contract, probe), stored, response_id, token)


def test_write_error_fails_only_what_it_hit(contract, tmp_path):
    """An error that is no full disk ends writing until a restart, which finds every token as it was left."""
    data, socket = tmp_path / "data", tmp_path / "s"
    # Python ignores the signal that would kill a process at its file size limit, and so shall the probe.
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
    with probes.ServiceProbe("feedback", data, socket, restore_signals=False) as probe:
        resource.prlimit(probe.process.pid, resource.RLIMIT_FSIZE, (FILE_LIMIT_BYTES, FILE_LIMIT_BYTES))
        session = Session(contract, probe)
        stored, response_id, token = fill_and_be_refused(session, DISK_ERRORS)
        probe.kill()
    with probes.ServiceProbe("feedback", data, socket) as probe:
        session = Session(contract, probe)
        assert session.rated_ids() == stored
        stored.append(session.rate(response_id, token, incompressible_text()))
        probe.kill()
    with probes.ServiceProbe("feedback", data, socket) as probe:
        check_kept(Session(contract, probe), stored, response_id, token)
