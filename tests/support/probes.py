"""Finds and runs build/<preset>/tests/<name>_probe, through which tests reach parts of the program alone."""

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import grpc
import numpy as np
import pytest

from support.project_files import REPOSITORY

START_LIMIT_S = 60
CALL_LIMIT_S = 120
RUN_LIMIT_S = 600
# grpc refuses longer messages unless told otherwise, in bytes.
MAX_MESSAGE_BYTES = 64 << 20


def find(name: str) -> Path:
    """`name`_probe in CONCLAVE_BUILD_DIR, or the newest one below build/."""
    if os.environ.get("CONCLAVE_BUILD_DIR"):
        return Path(os.environ["CONCLAVE_BUILD_DIR"]) / "tests" / f"{name}_probe"
    found = sorted(REPOSITORY.glob(f"build/*/tests/{name}_probe"), key=lambda path: path.stat().st_mtime)
    if not found:
        pytest.skip(f"{name}_probe is not built: set CONCLAVE_BUILD_DIR to a build folder")
    return found[-1]


def run(name: str, *arguments, stdin: bytes = b"") -> bytes:
    """The probe's standard output. Fails the test, with what the probe said, when it fails."""
    command = [str(find(name)), *map(str, arguments)]
    result = subprocess.run(command, input=stdin, capture_output=True, timeout=RUN_LIMIT_S, check=False)
    assert result.returncode == 0, result.stderr.decode(errors="replace")[-4000:]
    return result.stdout


def engine_floats(*arguments, stdin: bytes = b"") -> np.ndarray:
    """The float32 values that engine_probe prints."""
    return np.frombuffer(run("engine", *arguments, stdin=stdin), dtype="<f4")


def filter_lines(name: str, mode: str, values: list) -> list:
    """What the probe answers in one of its modes that read JSON lines."""
    lines = "".join(json.dumps(value) + "\n" for value in values)
    return [json.loads(line) for line in run(name, mode, stdin=lines.encode()).splitlines()]


class ServiceProbe:
    """One run of a probe that serves on a Unix socket, and a channel to it.

    The channel stays open after the process was killed or stopped, so that calls under way see a lost peer, and is
    closed when the `with` block ends, which also kills what still runs.
    """

    def __init__(self, name: str, data: Path, socket: Path, **popen):
        self._log = open(data.parent / f"{name}_probe.log", "ab")
        self.process = subprocess.Popen([find(name), "serve", data, socket], stdout=subprocess.PIPE, stderr=self._log,
                                        **popen)
        self._wait_until_ready()
        self.channel = grpc.insecure_channel(f"unix:{socket}", options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.enable_retries", 0)])

    def _wait_until_ready(self):
        timer = threading.Timer(START_LIMIT_S, self.process.kill)
        timer.start()
        try:
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        assert line == b"ready\n", f"the probe did not start: see {self._log.name}"

    def kill(self):
        """As kill -9: nothing of the process runs on."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(START_LIMIT_S)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=START_LIMIT_S) == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()
        self.channel.close()
        self.process.stdout.close()
        self._log.close()
