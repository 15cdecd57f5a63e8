#!/usr/bin/env python3
"""Says how far conclave's and llama.cpp's answers are from the float32 mathematics of the same model file.

    build/venv/bin/python bench/quality.py [--files FILE,...] [--perplexity-tokens 50176] [--windows 8] [--record NAME]

The reference is the file itself, its weights dequantised and run in float32 by `transformers`: what is measured is what
each program adds to a file's own errors (those: compare_quantise.py). Texts are cut into windows of 512 tokens; the
second half of each is scored, as llama-perplexity does. Perplexity is taken over the whole text (0 tokens: none), KL
divergence of the logits over some windows spread evenly over it: ours in float64 from the float32 logits, llama.cpp's
by its own llama-perplexity from the same reference logits, kept as its base files keep them (16 bits each). Without
--files: the default model as shipped, and what llama-quantize makes of it. Nothing is timed.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import compare_llama_cpp  # noqa: E402
import compare_quantise  # noqa: E402
import numpy as np  # noqa: E402
import peer_llama_cpp  # noqa: E402
import quality_texts  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from compare_quantise import PROGRAM, Record, run  # noqa: E402
from support.distributions import log_softmax  # noqa: E402

WINDOW = 512
FIRST = WINDOW // 2  # of the rows whose next token is scored; the last row's is not in the window
PIECE = 8192  # tokens that one command line spells
LOWEST = 16.0  # how far below the best logit llama.cpp's base files reach
PEER_FIGURES = {"kl_mean": r"^Mean\s+KLD:\s+(\S+)", "kl_p99": r"^99\.0%\s+KLD:\s+(\S+)",
                "kl_maximum": r"^Maximum KLD:\s+(\S+)", "top_agreement": r"^Same top p:\s+(\S+)",
                "perplexity": r"^Mean PPL\(Q\)\s+:\s+(\S+)"}


def tokens_of(file: Path, text: str, count: int) -> list[int]:
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as written:
        written.write(text)
        written.flush()
        found = json.loads(run(PROGRAM, "tokenize", "--model", file, "--file", written.name, "--json"))["token_ids"]
    if len(found) < count:
        raise RuntimeError(f"the text has {len(found)} tokens, fewer than {count}")
    return found[:count]


class Reference:
    """The file's own weights in float32."""

    def __init__(self, file: Path, threads: int):
        torch.set_num_threads(threads)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            str(file.parent), gguf_file=file.name, dtype=torch.float32).eval()

    def logits(self, window: list[int]) -> np.ndarray:
        """[WINDOW - 1 - FIRST, vocabulary]: those whose next token is in the window."""
        with torch.inference_mode():
            return self.model(torch.tensor([window]), logits_to_keep=WINDOW - FIRST).logits[0, :-1].numpy()


def losses(log_probabilities: np.ndarray, window: list[int]) -> np.ndarray:
    return -log_probabilities[np.arange(len(log_probabilities)), np.array(window[FIRST + 1:])]


def divergences(reference: np.ndarray, ours: np.ndarray) -> np.ndarray:
    return (np.exp(reference) * (reference - ours)).sum(axis=-1)


def our_logits(file: Path, window: list[int], folder: Path, threads: int) -> np.ndarray:
    out = folder / "logits.npy"
    run(PROGRAM, "score", "--model", file, "--token-ids", ",".join(map(str, window)), "--logits-out", out, "--threads",
        threads)
    return np.load(out)[FIRST:-1]


def text_of(file: Path, tokens: list[int]) -> str:
    """In pieces that a command line has room for, none of which ends within a character."""
    pieces = []
    while tokens:
        for count in range(PIECE, PIECE + 8):
            decoded = run(PROGRAM, "tokenize", "--model", file, "--decode", ",".join(map(str, tokens[:count])), "--json")
            piece = json.loads(decoded)["text"]
            if not piece.endswith("\ufffd"):
                break
        pieces.append(piece)
        tokens = tokens[count:]
    return "".join(pieces)


def our_perplexity(file: Path, tokens: list[int], folder: Path, threads: int) -> dict:
    """Of the text that the tokens spell, which may give a token more or less when it is encoded again."""
    text = folder / "text.txt"
    text.write_text(text_of(file, tokens) + "\n\n", encoding="utf-8")
    return json.loads(run(PROGRAM, "score", "--model", file, "--file", text, "--context", WINDOW, "--threads", threads,
                          "--json"))


def base_row(logits: np.ndarray) -> bytes:
    """A position of a base file: the step, the least log-probability, and the steps above it as 16-bit numbers."""
    best = logits.max()
    least = max(logits.min(), best - LOWEST)
    step = np.float32((best - least) / 65535.0)
    total = np.log(np.exp(logits.astype(np.float64) - best).sum())
    steps = np.clip(np.rint((logits - least) / step), 0, 65535).astype("<u2")
    padding = b"\0\0" * (len(logits) % 2)
    return np.array([step, least - best - total], "<f4").tobytes() + steps.tobytes() + padding


class PeerBase:
    """A file of reference logits for llama-perplexity --kl-divergence."""

    def __init__(self, path: Path, windows: list[list[int]], vocabulary: int):
        self.path = path
        self.window = len(windows[0])
        self.file = open(path, "wb")
        self.file.write(b"_logits_" + np.array([self.window, vocabulary, len(windows)], "<i4").tobytes())
        self.file.write(np.array(windows, "<i4").tobytes())

    def add(self, logits: np.ndarray) -> None:
        """The scored positions of the next window, [window - 1 - window / 2, vocabulary]."""
        for row in logits:
            self.file.write(base_row(row))

    def divergence(self, file: Path, threads: int) -> dict:
        self.file.close()
        command = [peer_llama_cpp.program("llama-perplexity"), "-m", file, "--kl-divergence-base", self.path,
                   "--kl-divergence", "-c", self.window, "-b", self.window, "-t", threads]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        output = re.sub(r"^[\d.]+ [IWED] ", "", done.stdout + "\n" + done.stderr, flags=re.MULTILINE)
        found = {key: re.search(pattern, output, re.MULTILINE) for key, pattern in PEER_FIGURES.items()}
        if done.returncode != 0 or not all(found.values()):
            raise RuntimeError(f"llama-perplexity failed:\n{output[-2000:]}")
        figures = {key: float(match.group(1)) for key, match in found.items()}
        figures["top_agreement"] /= 100.0
        return figures


def row_of(file: Path, tokens: list[int], chosen: list[int], with_perplexity: bool, threads: int) -> dict:
    """One file's figures. `chosen`: the windows of `tokens` for KL divergence."""
    reference = Reference(file, threads)
    windows = [tokens[at:at + WINDOW] for at in range(0, len(tokens), WINDOW)]
    reference_losses, chosen_losses, found, same = [], [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = None
        for index, window in enumerate(windows):
            if not with_perplexity and index not in chosen:
                continue
            logits = reference.logits(window)
            theirs = log_softmax(logits)
            reference_losses.append(losses(theirs, window))
            if index not in chosen:
                continue
            chosen_losses.append(reference_losses[-1])
            base = base or PeerBase(folder / "base", [windows[each] for each in chosen], logits.shape[1])
            base.add(logits)
            ours = log_softmax(our_logits(file, window, folder, threads))
            found.append(divergences(theirs, ours))
            same.append(ours.argmax(-1) == theirs.argmax(-1))
        del reference
        kl = np.concatenate(found)
        row = {"file": file.name, "bytes": file.stat().st_size, "kl_positions": len(kl),
               "conclave": {"kl_mean": float(kl.mean()), "kl_p99": float(np.percentile(kl, 99)),
                            "kl_maximum": float(kl.max()), "top_agreement": float(np.concatenate(same).mean())},
               "llama_cpp": base.divergence(file, threads),
               "kl_windows_reference_perplexity": float(np.exp(np.concatenate(chosen_losses).mean()))}
        if with_perplexity:
            expected = float(np.exp(np.concatenate(reference_losses).mean()))
            scored = our_perplexity(file, tokens, folder, threads)
            row["perplexity"] = {"tokens": len(tokens), "scored_tokens": sum(map(len, reference_losses)),
                                 "float32": expected, "conclave": scored["perplexity"],
                                 "conclave_scored_tokens": scored["tokens"],
                                 "difference": scored["perplexity"] / expected - 1.0}
    return row


def table(rows: list[dict]) -> str:
    lines = ["| File | Perplexity, float32 | Conclave | Difference | By | KL mean | 99% | Maximum | Same top token |",
             "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        scored = row.get("perplexity")
        perplexity = (f"{scored['float32']:.4f} | {scored['conclave']:.4f} | {scored['difference']:+.3%}" if scored
                      else "- | - | -")
        for name, key in (("Conclave", "conclave"), ("llama.cpp", "llama_cpp")):
            kl = row[key]
            lines.append(f"| {row['file']} | {perplexity} | {name} | {kl['kl_mean']:.5f} | {kl['kl_p99']:.4f} "
                         f"| {kl['kl_maximum']:.4f} | {kl['top_agreement']:.1%} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", default="", help=".gguf files, with commas between them")
    parser.add_argument("--perplexity-tokens", type=int, default=98 * WINDOW, help="of the text; 0: no perplexity")
    parser.add_argument("--windows", type=int, default=8, help="windows that KL divergence is measured on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", metavar="NAME", help="keep the figures in bench/records/NAME.json")
    arguments = parser.parse_args()
    model = compare_quantise.default_model()
    files = [Path(name) for name in arguments.files.split(",") if name] or [
        model, *(compare_llama_cpp.quantised(model, kind) for kind in ("Q4_0", "Q8_0"))]
    count = max(arguments.perplexity_tokens // WINDOW, arguments.windows)
    tokens = tokens_of(model, quality_texts.measured_text(count * WINDOW * compare_quantise.CHARACTERS_A_TOKEN),
                       count * WINDOW)
    chosen = sorted({round(each) for each in np.linspace(0, count - 1, arguments.windows)})
    record = Record(arguments.record, {"window": WINDOW, "kl_windows": chosen}, "file")
    for file in files:
        record.add(row_of(file, tokens, chosen, arguments.perplexity_tokens > 0, arguments.threads))
    print(table(record.rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
