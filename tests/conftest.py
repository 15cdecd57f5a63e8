"""Fixtures that every folder of pytest files shares: the program, homes, servers, gRPC modules."""

import importlib
import os
import sys
import types
from pathlib import Path

import pytest

from support import conclave_process
from support.project_files import REPOSITORY


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The default model's file."""
    path = os.environ.get("CONCLAVE_TEST_MODEL")
    if not path:
        pytest.skip("CONCLAVE_TEST_MODEL is not set: it names the default model's .gguf file")
    return Path(path)


@pytest.fixture(scope="session")
def program() -> Path:
    path = conclave_process.program()
    if not path.exists():
        pytest.fail(f"{path} is not built: run ./conclave setup")
    return path


@pytest.fixture
def home(model_path):
    """A fresh CONCLAVE_HOME with the default model."""
    made = conclave_process.Home(model_path)
    yield made
    made.remove()


@pytest.fixture(scope="session")
def shared_home(model_path):
    made = conclave_process.Home(model_path)
    yield made
    made.remove()


@pytest.fixture(scope="session")
def server(program, shared_home):
    """All services in one process, shared by the tests that leave nothing behind in it."""
    del program
    started = conclave_process.start_single(shared_home)
    yield started
    try:
        assert started.stop() == 0, started.log_text()  # a sanitizer reports what leaked when the process ends
    finally:
        started.end()


@pytest.fixture
def start_server(program, home):
    """start_server(ARGUMENTS...): a server of the test's own, which it may stop, kill and start again."""
    del program
    started = []

    def start(*arguments: str) -> conclave_process.Server:
        started.append(conclave_process.start_single(home, *arguments))
        return started[-1]

    yield start
    for process in started:
        process.end()


@pytest.fixture
def conclave(program, home):
    """conclave(ARGUMENTS...): runs one command in the test's home."""
    del program
    return lambda *arguments, **options: conclave_process.run_program(home, *arguments, **options)


@pytest.fixture(scope="session")
def stubs(tmp_path_factory) -> types.SimpleNamespace:
    """Python modules generated from proto/: stubs.router_pb2, stubs.router_pb2_grpc and so on."""
    from grpc_tools import protoc

    folder = tmp_path_factory.mktemp("stubs")
    protos = sorted((REPOSITORY / "proto/conclave/v1").glob("*.proto"))
    arguments = ["protoc", f"-I{REPOSITORY / 'proto'}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    assert protoc.main([*arguments, *map(str, protos)]) == 0
    sys.path.insert(0, str(folder))
    names = [f"{proto.stem}_{kind}" for proto in protos for kind in ("pb2", "pb2_grpc")]
    return types.SimpleNamespace(**{name: importlib.import_module(f"conclave.v1.{name}") for name in names})


@pytest.fixture
def channel(server):
    """A gRPC channel to the shared server."""
    import grpc

    with grpc.insecure_channel(server.address) as opened:
        yield opened
