#!/usr/bin/env python3
"""Times conclave and llama.cpp in turn on the same model files and threads, and prints medians and ratios.

    build/venv/bin/python bench/compare_llama_cpp.py [--rounds 5] [--model FILE] [--record NAME] [--quick] [--only TEXT]

llama.cpp is built from its registry package when it is not there (bench/peer_llama_cpp.py); the Q4_0 and Q8_0 files are
made from the shipped one by its llama-quantize. With --record the samples go to bench/records/NAME.json. Both sides run
the same work in every round, one after the other, so that a machine that changes its speed changes both.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import peer_llama_cpp  # noqa: E402
import servers  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[1]
PROGRAM = REPOSITORY / "build/release/app/conclave"
DEFAULT_MODEL = "smollm2-135m-instruct"
STREAM_PROMPT, STREAM_ANSWER = 128, 64


@dataclass
class Bench:
    """One row of the table: how each side does the same work; both give tokens a second."""

    name: str
    target: float
    ours: Callable[[], float]
    peers: Callable[[], float]


def run_json(command: list) -> dict | list:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def conclave(model: Path, threads: int, *arguments) -> float:
    return run_json([PROGRAM, "bench", *arguments, "--model", model, "--threads", threads, "--repeats", 1,
                     "--json"])["value"]


def llama_bench(model: Path, threads: int, prompt: int, answer: int) -> float:
    [result] = run_json([peer_llama_cpp.program("llama-bench"), "-m", model, "-t", threads, "-p", prompt, "-n", answer,
                         "-r", 1, "-fa", 1, "-o", "json"])
    return result["avg_ts"]


def batched_rate(output: str) -> float:
    """llama-batched-bench's total rate: the last line that is a JSON object, in its JSONL form."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise RuntimeError(f"llama-batched-bench printed no result:\n{output[-2000:]}")
    return json.loads(lines[-1])["speed"]


def llama_batched(model: Path, threads: int, streams: int) -> float:
    tokens = streams * (STREAM_PROMPT + STREAM_ANSWER)
    command = [peer_llama_cpp.program("llama-batched-bench"), "-m", model, "-t", threads, "-c", tokens, "-b", 2048,
               "-ub", 512, "-npp", STREAM_PROMPT, "-ntg", STREAM_ANSWER, "-npl", streams, "-fa", "on",
               "--output-format", "jsonl"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    return batched_rate(done.stdout)


def quantised(model: Path, kind: str) -> Path:
    """The model in another format, made once by llama.cpp's own program."""
    made = peer_llama_cpp.BUILD / "peers/models" / f"{model.stem}.{kind}.gguf"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        part = made.with_suffix(".part")
        subprocess.run([peer_llama_cpp.program("llama-quantize"), "--allow-requantize", model, part, kind], check=True,
                       capture_output=True)
        part.rename(made)
    return made


def benches(model: Path, threads: int, quick: bool) -> list[Bench]:
    def decode(file: Path, name: str, target: float) -> Bench:
        return Bench(f"decode, one stream, {name}", target, lambda: conclave(file, threads, "decode"),
                     lambda: llama_bench(file, threads, 0, 128))

    def prefill(file: Path, name: str, target: float, tokens: int = 512) -> Bench:
        return Bench(f"prefill {tokens}, {name}", target, lambda: conclave(file, threads, "prefill", "--tokens", tokens),
                     lambda: llama_bench(file, threads, tokens, 0))

    def streams(count: int) -> Bench:
        return Bench(f"{count} streams, {STREAM_PROMPT} in and {STREAM_ANSWER} out", 2.5,
                     lambda: conclave(model, threads, "batch", "--streams", count, "--prompt-tokens", STREAM_PROMPT,
                                      "--tokens", STREAM_ANSWER),
                     lambda: llama_batched(model, threads, count))

    def served(count: int) -> Bench:
        shape = (model, threads, count, STREAM_PROMPT, STREAM_ANSWER)
        return Bench(f"servers, {count} streams, {STREAM_PROMPT} in and {STREAM_ANSWER} out", 2.5,
                     lambda: servers.conclave_rate(*shape), lambda: servers.llama_server_rate(*shape))

    chosen = [decode(model, "as shipped", 2.4), prefill(model, "as shipped", 4.0)]
    if quick:
        return chosen
    for kind in ("Q4_0", "Q8_0"):
        file = quantised(model, kind)
        chosen += [decode(file, kind, 2.0), prefill(file, kind, 1.8)]
    return [*chosen, streams(16), streams(32), served(16), served(32), prefill(model, "as shipped", 1.0, 4096)]


def measure(chosen: list[Bench], rounds: int) -> Iterator[dict]:
    """A row a bench, of both sides' samples in turn; the first round warms up and does not count."""
    for bench in chosen:
        ours, peers = [], []
        for _ in range(rounds + 1):
            ours.append(bench.ours())
            peers.append(bench.peers())
            print(f"{bench.name}: {ours[-1]:.1f} beside {peers[-1]:.1f}", file=sys.stderr, flush=True)
        yield row_of(bench.name, bench.target, ours[1:], peers[1:])


def row_of(name: str, target: float, ours: list[float], peers: list[float]) -> dict:
    """Medians, and the median of the rounds' ratios."""
    ratio = statistics.median(our / peer for our, peer in zip(ours, peers, strict=True))
    return {"name": name, "target": target, "ratio": ratio, "conclave": statistics.median(ours),
            "llama_cpp": statistics.median(peers), "conclave_samples": ours, "llama_cpp_samples": peers}


def table(rows: list[dict]) -> str:
    lines = ["| Bench | conclave | llama.cpp | Ratio | Target |", "|---|---|---|---|---|"]
    lines += [f"| {row['name']} | {row['conclave']:.0f} | {row['llama_cpp']:.0f} | {row['ratio']:.2f} "
              f"| {row['target']:.1f} |" for row in rows]
    return "\n".join(lines)


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def record_of(rows: list[dict], model: Path, arguments: argparse.Namespace) -> dict:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True,
                            check=False).stdout.strip()
    machine = run_json([PROGRAM, "bench", "machine", "--model", model, "--threads", arguments.threads, "--json"])
    return {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "commit": commit, "processor": processor(),
            "threads": arguments.threads, "load_average": os.getloadavg(), "model": model.name, "machine": machine,
            "rows": rows}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    home = Path(os.environ.get("CONCLAVE_HOME", "~/.local/share/conclave")).expanduser()
    parser.add_argument("--model", type=Path, help="a .gguf file (default: the default model's)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", metavar="NAME", help="keep the samples in bench/records/NAME.json")
    parser.add_argument("--quick", action="store_true", help="the shipped file only, one stream")
    parser.add_argument("--only", default="", metavar="TEXT", help="the benches whose name contains it")
    arguments = parser.parse_args()
    model = arguments.model or next(iter(sorted((home / "models" / DEFAULT_MODEL).glob("*.gguf"))))
    chosen = [bench for bench in benches(model, arguments.threads, arguments.quick) if arguments.only in bench.name]
    rows = []
    for row in measure(chosen, arguments.rounds):
        rows.append(row)
        if arguments.record:  # after every row, so that a run that is cut short leaves what it measured
            path = REPOSITORY / "bench/records" / f"{arguments.record}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(record_of(rows, model, arguments), indent=1) + "\n")
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
