"""Files that `convert quantize` writes, read by the `gguf` package: header, shapes, and every decoded number."""

import json

import numpy as np
import pytest

from support.project_files import REPOSITORY

gguf = pytest.importorskip("gguf", reason="the gguf package is not installed")

TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]
TEXT_LENGTH = 2000  # characters that are enough to tell the two ways apart
MATRICES = {"token_embd.weight": (96, 512), "blk.0.attn_q.weight": (80, 768), "blk.0.ffn_down.weight": (64, 1024)}


def tensors_of(path) -> dict:
    return {tensor.name: tensor for tensor in gguf.GGUFReader(str(path)).tensors}


def decoded(tensor) -> np.ndarray:
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1])


@pytest.fixture(scope="module")
def float_model(run, model_path, tmp_path_factory):
    """The default model with every matrix as F32."""
    path = tmp_path_factory.mktemp("float") / "f32.gguf"
    run("convert", "quantize", "--type", "F32", "--requantize", str(model_path), str(path))
    return path


def test_floats_are_what_the_package_decodes(float_model, model_path):
    ours, source = tensors_of(float_model), tensors_of(model_path)
    assert list(ours) == list(source)
    for name, tensor in ours.items():
        assert tensor.tensor_type == gguf.GGMLQuantizationType.F32
        assert np.array_equal(decoded(tensor), decoded(source[name])), name


def test_metadata_is_copied(float_model, model_path):
    ours, source = (gguf.GGUFReader(str(path)).fields for path in (float_model, model_path))
    changed = {"general.file_type", "general.quantization_version"}
    copied = [name for name in source if name not in changed and not name.startswith("GGUF.")]
    assert len(copied) > 10
    for name in copied:
        assert ours[name].types == source[name].types, name
        assert ours[name].contents() == source[name].contents(), name
    assert ours["general.file_type"].contents() == 0


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    """A few matrices of normal numbers whose rows differ in size, written by the package; and a norm."""
    path = tmp_path_factory.mktemp("small") / "f32.gguf"
    random = np.random.default_rng(3)
    writer = gguf.GGUFWriter(str(path), "llama")
    for name, shape in MATRICES.items():
        writer.add_tensor(name, (random.normal(size=shape) * random.uniform(0.01, 3.0, (shape[0], 1))).astype(np.float32))
    writer.add_tensor("output_norm.weight", random.normal(size=512).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("name", TYPES)
def test_every_format_decodes_near_the_floats(run, small_model, tmp_path, name):
    path = tmp_path / "out.gguf"
    report = run("convert", "quantize", "--type", name, "--output-type", name, str(small_model), str(path))
    assert report["bytes"] == path.stat().st_size
    ours, floats = tensors_of(path), tensors_of(small_model)
    assert np.array_equal(decoded(ours["output_norm.weight"]), decoded(floats["output_norm.weight"]))
    step = 2.0 / (2 ** int(name[1]) - 2)
    for tensor_name in MATRICES:
        assert ours[tensor_name].tensor_type.name == name
        expected = decoded(floats[tensor_name])
        error = np.square((decoded(ours[tensor_name]) - expected).reshape(-1, 32)).mean()
        # On average no worse than uniform rounding with a step that spans each 32 numbers.
        spans = np.abs(expected.reshape(-1, 32)).max(-1, keepdims=True) * step
        assert 0.0 < error <= np.square(spans).mean() / 12.0, tensor_name


def test_rows_that_are_not_whole_blocks_take_llama_quantizes_types(run, float_model, tmp_path):
    path = tmp_path / "out.gguf"
    report = run("convert", "quantize", "--type", "Q4_K", str(float_model), str(path))
    types = {name: tensor.tensor_type.name for name, tensor in tensors_of(path).items()}
    assert types["blk.0.ffn_down.weight"] == "Q4_K"  # 1,536 columns
    assert types["blk.0.attn_q.weight"] == "Q5_0"  # 576 columns
    assert types["token_embd.weight"] == "Q8_0"
    assert report["replaced"] == 180
    assert report["tensors"] == {"F32": 61, "Q4_K": 30, "Q5_0": 180, "Q8_0": 1}


def test_calibration_brings_the_distributions_nearer(run, float_model, tmp_path):
    calibration, text = tmp_path / "calibration.txt", tmp_path / "text.txt"
    calibration.write_text(REPOSITORY.joinpath("docs/architecture.md").read_text()[:TEXT_LENGTH])
    text.write_text(REPOSITORY.joinpath("README.md").read_text()[:TEXT_LENGTH])
    divergences = []
    for flags in ([], ["--calibrate", str(calibration), "--context", "256"]):
        path = tmp_path / "out.gguf"
        run("convert", "quantize", "--type", "Q4_0", "--force", *flags, str(float_model), str(path))
        found = run("score", "--model", str(path), "--compare", str(float_model), "--file", str(text),
                    "--context", "128")
        divergences.append(found["kl_mean"])
    assert divergences[1] < 0.9 * divergences[0], json.dumps(divergences)
