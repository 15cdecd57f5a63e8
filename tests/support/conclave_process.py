"""Starts the built program for tests, in homes of their own, and ends just what was started."""

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import yaml

from support.project_files import REPOSITORY
from support.time_limits import scaled

READY_LIMIT_S = scaled(120)
STOP_LIMIT_S = scaled(60)
RUN_LIMIT_S = scaled(300)
DEFAULT_MODEL = "smollm2-135m-instruct"


def program() -> Path:
    """The program under test."""
    return Path(os.environ.get("CONCLAVE_TEST_PROGRAM", REPOSITORY / "build/release/app/conclave"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Home:
    """A CONCLAVE_HOME in a folder with a short name (socket paths are limited), with the real model linked in."""

    def __init__(self, model: Path | None):
        self.path = Path(tempfile.mkdtemp(prefix="conclave-", dir="/tmp"))
        if model is not None:
            (self.path / "models" / DEFAULT_MODEL).mkdir(parents=True)
            (self.path / "models" / DEFAULT_MODEL / model.name).symlink_to(model)
        (self.path / "run").mkdir()

    def environment(self) -> dict[str, str]:
        values = {name: value for name, value in os.environ.items() if not name.startswith("CONCLAVE_")}
        return {**values, "CONCLAVE_HOME": str(self.path)}

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


class Server:
    """One `conclave serve` process. `address` is its gRPC address and `http` that of metrics and health."""

    def __init__(self, home: Home, *arguments: str, environment: dict[str, str] | None = None):
        self.log = Path(tempfile.mkstemp(prefix="serve-", suffix=".log", dir=home.path)[1])
        self._lines: queue.Queue[str | None] = queue.Queue()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([str(program()), "serve", "--json", *arguments], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, stderr=log, text=True,
                                            env={**home.environment(), **(environment or {})})
        threading.Thread(target=self._read_lines, daemon=True).start()
        self.address = ""
        self.http = ""

    def _read_lines(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait_ready(self, limit_s: float = READY_LIMIT_S) -> "Server":
        """Until the program says that it is ready; raises with its log when it ends or takes too long."""
        deadline = time.monotonic() + limit_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not ready within {limit_s} s\n{self.log_text()}") from None
            if line is None:
                raise AssertionError(f"ended with {self.process.wait()} before it was ready\n{self.log_text()}")
            ready = json.loads(line)
            if ready.get("ready"):
                self.address, self.http = (ready["addresses"] or [""])[0], ready["http"]
                return self

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")[-8000:]

    def stop(self) -> int:
        """SIGTERM, and the exit status once it has drained."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """What a crash or a power cut does to it."""
        self.process.kill()
        self.process.wait()

    def wait(self, limit_s: float = STOP_LIMIT_S) -> int:
        try:
            return self.process.wait(timeout=limit_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end within {limit_s} s of being told to\n{self.log_text()}") from None

    def end(self) -> None:
        """For clean-up: gone afterwards, however it was."""
        if self.process.poll() is None:
            self.kill()
        self.process.stdout.close()


def start_single(home: Home, *arguments: str) -> Server:
    """All services in one process on free ports."""
    server = Server(home, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", *arguments)
    try:
        return server.wait_ready()
    except AssertionError:
        server.end()
        raise


class Cluster:
    """The processes of a configuration file, each started with --only. `servers` maps names to processes."""

    def __init__(self, home: Home, config: Path):
        self.home = home
        self.config = home.path / "cluster.yaml"
        settings = yaml.safe_load(config.read_text())
        self.names = [process["name"] for process in settings["processes"]]
        self._give_free_ports(settings)
        self.config.write_text(yaml.safe_dump(settings))
        self.servers: dict[str, Server] = {}

    @staticmethod
    def _give_free_ports(settings: dict) -> None:
        """Fixed ports would collide with other tests; sockets in the home folder do not."""
        for process in settings["processes"]:
            for key in ("listen", "http"):
                host, colon, port = str(process.get(key, "")).rpartition(":")
                if colon and port.isdigit() and not host.startswith("unix"):
                    process[key] = f"{host}:{free_port()}"
            process.pop("advertise", None)

    def start(self, name: str) -> Server:
        """Starts one process, again after it was killed; the caller waits until it is ready."""
        # One engine thread each: the processes share the machine, and threads never change an answer.
        self.servers[name] = Server(self.home, "--config", str(self.config), "--only", name, "--threads", "1")
        return self.servers[name]

    def start_all(self) -> "Cluster":
        for name in self.names:
            self.start(name)
        for server in self.servers.values():
            server.wait_ready()
        return self

    def router(self) -> Server:
        return self.servers["router"]

    def end(self) -> None:
        for server in self.servers.values():
            server.end()


def run_program(home: Home, *arguments: str, limit_s: float = RUN_LIMIT_S, **options) -> subprocess.CompletedProcess:
    """One command of the program, with its output as text; without `input` it finds nothing to read."""
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    return subprocess.run([str(program()), *arguments], capture_output=True, text=True, check=False, timeout=limit_s,
                          env=home.environment(), **options)
