#!/usr/bin/env python3
"""Quantises a float model with conclave and with llama.cpp to the same types and sizes, and says how far each is off.

    build/venv/bin/python bench/compare_quantise.py [--types Q4_0,Q4_K] [--windows 12] [--record NAME]

Both are calibrated on the same text (quality_texts.py): conclave by --calibrate, llama.cpp by llama-imatrix and
llama-quantize --imatrix. All tensors take one type, the embedding table, which is the output head too, Q8_0. KL
divergence from the float model (float_model.py) is measured by `conclave score --compare` for both, on a text that
calibration did not see. Files stay in build/peers/quality and are used again: remove them after a change of the
quantisers. Nothing is timed.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import float_model  # noqa: E402
import peer_llama_cpp  # noqa: E402
import quality_texts  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[1]
PROGRAM = Path(os.environ.get("CONCLAVE_TEST_PROGRAM", REPOSITORY / "build/release/app/conclave"))
FOLDER = peer_llama_cpp.BUILD / "peers/quality"
DEFAULT_MODEL = "smollm2-135m-instruct"
TYPES = ("Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K")
# What llama-quantize calls a file whose tensors are all of that type (with --pure).
PEER_TYPES = {"Q4_K": "Q4_K_S", "Q5_K": "Q5_K_S"}
CONTEXT = 512
CHARACTERS_A_TOKEN = 5  # more than English text or Perl needs


def run(*command) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def default_model() -> Path:
    home = Path(os.environ.get("CONCLAVE_HOME", "~/.local/share/conclave")).expanduser()
    return next(iter(sorted((home / "models" / DEFAULT_MODEL).glob("*.gguf"))))


def made(path: Path, make) -> Path:
    """`make(part)` writes the file unless it is there."""
    if not path.exists():
        part = path.with_suffix(".part")
        make(part)
        part.rename(path)
    return path


def calibration_file() -> Path:
    path = FOLDER / "calibration.txt"
    path.write_text(quality_texts.calibration_text(), encoding="utf-8")
    return path


def float_file() -> Path:
    return float_model.make(PROGRAM, default_model(), FOLDER / "float.gguf")


def ours(kind: str, threads: int) -> Path:
    """Conclave's file of that type."""
    return made(FOLDER / f"conclave.{kind}.gguf", lambda part: run(
        PROGRAM, "convert", "quantize", "--type", kind, "--calibrate", calibration_file(), "--context", CONTEXT,
        "--threads", threads, "--force", float_file(), part))


def theirs(kind: str, threads: int) -> Path:
    """llama.cpp's file of that type."""
    matrix = made(FOLDER / "imatrix.gguf", lambda part: run(
        peer_llama_cpp.program("llama-imatrix"), "-m", float_file(), "-f", calibration_file(), "-o", part,
        "--output-format", "gguf", "-c", CONTEXT, "-t", threads, "--process-output"))
    return made(FOLDER / f"llama_cpp.{kind}.gguf", lambda part: run(
        peer_llama_cpp.program("llama-quantize"), "--pure", "--imatrix", matrix, "--token-embedding-type", "q8_0",
        float_file(), part, PEER_TYPES.get(kind, kind), threads))


def measured_file(windows: int) -> Path:
    """A text of that many windows of CONTEXT tokens, a little more is cut off by its tokens."""
    path = FOLDER / "measured.txt"
    path.write_text(quality_texts.measured_text(windows * CONTEXT * CHARACTERS_A_TOKEN), encoding="utf-8")
    tokens = json.loads(run(PROGRAM, "tokenize", "--model", default_model(), "--file", path, "--json"))["token_ids"]
    count = windows * CONTEXT
    if len(tokens) < count:
        raise RuntimeError(f"the text has {len(tokens)} tokens, fewer than {count}")
    begin = (len(tokens) - count) // 2  # as many of either half
    ids = ",".join(map(str, tokens[begin:begin + count]))
    cut = run(PROGRAM, "tokenize", "--model", default_model(), "--decode", ids, "--json")
    path.write_text(json.loads(cut)["text"] + "\n\n", encoding="utf-8")
    return path


def divergence(file: Path, text: Path, threads: int) -> dict:
    found = json.loads(run(PROGRAM, "score", "--model", file, "--compare", float_file(), "--file", text, "--context",
                           CONTEXT, "--threads", threads, "--json"))
    return {"bytes": file.stat().st_size, **found}


def table(rows: list[dict]) -> str:
    lines = ["| Type | By | Bytes | KL mean | 99% | Maximum | Same top token |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        for name, key in (("Conclave", "conclave"), ("`llama-quantize`", "llama_cpp")):
            found = row[key]
            lines.append(f"| {row['type']} | {name} | {found['bytes']:,} | {found['kl_mean']:.5f} "
                         f"| {found['kl_p99']:.4f} | {found['kl_maximum']:.3f} | {found['top_agreement']:.1%} |")
    return "\n".join(lines)


class Record:
    """bench/records/NAME.json, written after every row, so that a run that is cut short leaves what it measured. A later
    run with the same settings adds its rows to those that are there. No name: nothing is kept."""

    def __init__(self, name: str | None, settings: dict, key: str):
        self.path = REPOSITORY / "bench/records" / f"{name}.json" if name else None
        self.settings = settings
        self.key = key
        self.rows: list[dict] = []
        if self.path and self.path.exists():
            found = json.loads(self.path.read_text())
            if any(found.get(name) != value for name, value in settings.items()):
                raise RuntimeError(f"{self.path} was measured otherwise; give another name")
            self.rows = found["rows"]

    def add(self, row: dict) -> None:
        """In place of one with the same key."""
        print(json.dumps(row), file=sys.stderr, flush=True)
        self.rows = [*(other for other in self.rows if other[self.key] != row[self.key]), row]
        if self.path is None:
            return
        commit = run("git", "-C", REPOSITORY, "rev-parse", "--short", "HEAD").strip()
        self.path.write_text(json.dumps({"date": datetime.datetime.now(datetime.UTC).date().isoformat(),
                                         "commit": commit, **self.settings, "rows": self.rows}, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--types", default=",".join(TYPES), help="which, with commas between them")
    parser.add_argument("--windows", type=int, default=12, help=f"windows of {CONTEXT} tokens to measure on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", metavar="NAME", help="keep the figures in bench/records/NAME.json")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = measured_file(arguments.windows)
    settings = {"model": default_model().name, "calibration_characters": quality_texts.CALIBRATION_CHARACTERS,
                "windows": arguments.windows, "context": CONTEXT}
    record = Record(arguments.record, settings, "type")
    for kind in arguments.types.split(","):
        record.add({"type": kind, "conclave": divergence(ours(kind, arguments.threads), text, arguments.threads),
                    "llama_cpp": divergence(theirs(kind, arguments.threads), text, arguments.threads)})
    print(table(record.rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
