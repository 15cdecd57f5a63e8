"""Makes a float model to quantise, as no package carries a small one: the default model's numbers as F32, mixed.

The shipped file is Q4_1 in blocks of 32 neighbouring numbers: quantised again as it stands it would be too easy. So its
hidden, inner and value dimensions are permuted. The model's function stays the same, up to the order of sums, but the
numbers of many former blocks come into each new one.
"""

import subprocess
from pathlib import Path

import gguf
import numpy as np

SEED = 5


def make(program: Path, model: Path, out: Path) -> Path:
    """Writes it to `out` unless it is there."""
    if out.exists():
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    command = [program, "convert", "quantize", "--type", "F32", "--requantize", "--force", model, part]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    permute(part)
    part.rename(out)
    return out


def permute(path: Path) -> None:
    """Changes a GGUF file of the llama family whose tensors are all F32, in place."""
    reader = gguf.GGUFReader(str(path), "r+")
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    fields = {key: reader.fields[f"llama.{key}"].contents() for key in
              ("block_count", "embedding_length", "feed_forward_length", "attention.head_count",
               "attention.head_count_kv")}
    random = np.random.default_rng(SEED)
    hidden = random.permutation(fields["embedding_length"])
    for name, data in tensors.items():
        kind = name.removesuffix(".weight").rsplit(".", 1)[-1]
        if kind in ("attn_norm", "ffn_norm", "output_norm"):
            data[:] = data[hidden]
        elif kind in ("token_embd", "output", "attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"):
            data[:] = data[:, hidden]
        elif kind in ("attn_output", "ffn_down"):
            data[:] = data[hidden]
    for layer in range(fields["block_count"]):
        block = {kind: tensors[f"blk.{layer}.{kind}.weight"] for kind in
                 ("attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")}
        permute_inner(block, random.permutation(fields["feed_forward_length"]))
        permute_values(block, fields["attention.head_count"], fields["attention.head_count_kv"], random)
    for data in tensors.values():
        data.flush()


def permute_inner(block: dict, order: np.ndarray) -> None:
    for kind in ("ffn_gate", "ffn_up"):
        block[kind][:] = block[kind][order]
    block["ffn_down"][:] = block["ffn_down"][:, order]


def permute_values(block: dict, heads: int, kv_heads: int, random: np.random.Generator) -> None:
    """The numbers within each value head, and the columns that read them in every query head of its group."""
    width = block["attn_v"].shape[0] // kv_heads
    orders = [random.permutation(width) for _ in range(kv_heads)]
    rows = np.concatenate([head * width + order for head, order in enumerate(orders)])
    columns = np.concatenate([head * width + orders[head // (heads // kv_heads)] for head in range(heads)])
    block["attn_v"][:] = block["attn_v"][rows]
    block["attn_output"][:] = block["attn_output"][:, columns]
