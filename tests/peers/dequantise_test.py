"""The engine's decoding of every stored format against the `gguf` package's, on random bytes."""

import numpy as np
import pytest

from support import probes

gguf = pytest.importorskip("gguf", reason="the gguf package is not installed")

FORMATS = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "MXFP4"]
BLOCKS = 4000
BLOCKS_PER_ROW = 8


def reference(rows: np.ndarray, name: str) -> np.ndarray:
    """The format's float32 values. The package leaves plain floats to numpy."""
    if name == "F32":
        return rows.view("<f4")
    if name == "F16":
        return rows.view("<f2").astype(np.float32)
    numbers = gguf.quants.dequantize(rows, gguf.GGMLQuantizationType[name])
    if name == "MXFP4":  # the format's definition has NaN for the exponent 255, which the package makes 2^127
        blocks = rows.reshape(-1, gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]][1])
        numbers.reshape(len(blocks), -1)[blocks[:, 0] == 255] = np.nan
    return numbers


@pytest.mark.parametrize("name", FORMATS)
def test_random_bytes_decode_to_the_same_bits(name):
    elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    rows = np.random.default_rng(20).integers(0, 256, (BLOCKS // BLOCKS_PER_ROW, BLOCKS_PER_ROW * size), np.uint8)
    columns = BLOCKS_PER_ROW * elements

    ours = probes.engine_floats("dequantise", name, columns, stdin=rows.tobytes()).reshape(-1, columns)
    with np.errstate(all="ignore"):
        theirs = reference(rows, name).reshape(ours.shape)

    # Random halves are NaN or infinite once in 32; both sides must agree where, but a NaN's payload is no number.
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    numbers = ~np.isnan(theirs)
    assert numbers.mean() > 0.8
    assert np.array_equal(ours.view(np.uint32)[numbers], theirs.view(np.uint32)[numbers])


@pytest.mark.parametrize("name", FORMATS[3:8])
def test_quantised_numbers_come_back(name):
    """Guards against a reference that is wrong in the same way: known numbers, quantised by the package."""
    numbers = np.random.default_rng(21).standard_normal((16, 256)).astype(np.float32)
    rows = gguf.quants.quantize(numbers, gguf.GGMLQuantizationType[name])
    ours = probes.engine_floats("dequantise", name, 256, stdin=rows.tobytes()).reshape(numbers.shape)
    bits = int(name[1])
    # Rounding is off by at most one step (truncation of the extreme), a step being the block's range over its levels.
    step = 2.0 * np.abs(numbers.reshape(16, -1, 32)).max(-1, keepdims=True) / (2**bits - 2)
    assert (np.abs(ours - numbers).reshape(16, -1, 32) <= step).all()
