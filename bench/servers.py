"""Both sides' servers under the same load: conclave over gRPC by its own `bench load`, llama-server over its HTTP."""

import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import peer_llama_cpp

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support import conclave_process  # noqa: E402

START_TIMEOUT_S = 60


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


def conclave_rate(model: Path, threads: int, streams: int, prompt: int, answer: int) -> float:
    """Tokens a second, prompts and answers, that so many gRPC clients get."""
    home = conclave_process.Home(model)
    try:
        server = conclave_process.start_single(home, "--threads", str(threads))
        try:
            done = conclave_process.run_program(
                home, "bench", "load", "--connect", server.address, "--streams", str(streams), "--prompt-tokens",
                str(prompt), "--tokens", str(answer), "--repeats", "1", "--json")
        finally:
            server.end()
    finally:
        home.remove()
    if done.returncode != 0:
        raise RuntimeError(f"bench load ended with {done.returncode}:\n{done.stderr}")
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
    port = conclave_process.free_port()
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
