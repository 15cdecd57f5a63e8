"""Both sides' servers under the same load: conclave over gRPC by its own `bench load`, llama-server over its HTTP."""

import http.client
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import peer_llama_cpp

START_TIMEOUT_S = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(command: list, is_ready) -> Iterator[None]:
    """The command as a process that is ended afterwards; raises RuntimeError with its log when it does not start."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not is_ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"{command[0]} did not start:\n{log.read()[-2000:].decode(errors='replace')}")
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def http_status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def conclave_rate(program: Path, model: Path, threads: int, streams: int, prompt: int, answer: int) -> float:
    """Tokens a second, prompts and answers, that so many gRPC clients get."""
    port, http_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "CONCLAVE_HOME": home}
        serve = ["env", f"CONCLAVE_HOME={home}", program, "serve", "--model", model, "--threads", threads, "--listen",
                 f"127.0.0.1:{port}", "--http", f"127.0.0.1:{http_port}"]
        with running(serve, lambda: http_status(http_port, "/readyz") == 200):
            done = subprocess.run([str(word) for word in [
                program, "bench", "load", "--connect", f"127.0.0.1:{port}", "--streams", streams, "--prompt-tokens", prompt,
                "--tokens", answer, "--repeats", 1, "--json"]], capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)["value"]


def prompt_of(tokens: int, seed: int) -> list[int]:
    """The same ids as conclave's `bench load` sends."""
    return [(i * 37 + seed * 101 + 11) % 8192 for i in range(tokens)]


def ask_llama_server(port: int, prompt: int, answer: int, seed: int, failures: list[str]) -> None:
    body = json.dumps({"prompt": prompt_of(prompt, seed), "n_predict": answer, "temperature": 0.0, "ignore_eos": True,
                       "cache_prompt": False, "stream": True})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        connection.request("POST", "/completion", body, {"Content-Type": "application/json"})
        text = connection.getresponse().read().decode()
        last = json.loads([line for line in text.splitlines() if line.startswith("data: ")][-1].removeprefix("data: "))
        if last.get("tokens_predicted") != answer:
            failures.append(f"the peer's answer is not {answer} tokens long: {str(last)[:300]}")
    except (OSError, IndexError, ValueError) as error:
        failures.append(f"the peer's server failed: {error}")
    finally:
        connection.close()


def llama_server_rate(model: Path, threads: int, streams: int, prompt: int, answer: int) -> float:
    """The same load from llama-server, as many slots as streams."""
    port = free_port()
    command = [peer_llama_cpp.program("llama-server"), "-m", model, "-t", threads, "-np", streams, "-c",
               streams * (prompt + answer), "-b", 2048, "-ub", 512, "-fa", "on", "--host", "127.0.0.1", "--port", port,
               "--no-webui"]
    with running(command, lambda: http_status(port, "/health") == 200):
        ask_llama_server(port, 4, 2, 10_000, [])
        failures: list[str] = []
        clients = [threading.Thread(target=ask_llama_server, args=(port, prompt, answer, seed, failures))
                   for seed in range(streams)]
        start = time.monotonic()
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        seconds = time.monotonic() - start
    if failures:
        raise RuntimeError(failures[0])
    return streams * (prompt + answer) / seconds
