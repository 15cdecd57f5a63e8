"""`score --compare` against numpy on the logits that `score --logits-out` writes for both models."""

import numpy as np
import pytest

from support import conclave_process
from support.distributions import log_softmax

gguf = pytest.importorskip("gguf", reason="the gguf package is not installed")

WINDOW = 64
WINDOWS = 2
# Logits are float32 on both sides and sums float64: what is left is the order of 49,152 additions.
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def other_model(model_path, tmp_path_factory):
    """The default model with the scales of one layer's down projection halved: the same size, other answers."""
    data = bytearray(model_path.read_bytes())
    reader = gguf.GGUFReader(str(model_path))
    tensor = next(each for each in reader.tensors if each.name == "blk.5.ffn_down.weight")
    assert tensor.tensor_type == gguf.GGMLQuantizationType.Q4_1
    blocks = np.frombuffer(data, np.uint8, tensor.n_bytes, tensor.data_offset).reshape(-1, 20)
    blocks[:, :4] = (blocks[:, :4].copy().view("<f2") * np.float16(0.5)).view(np.uint8)
    path = tmp_path_factory.mktemp("other") / "other.gguf"
    path.write_bytes(data)
    return path


def test_divergence_and_agreement_are_numpys(run, other_model, model_path, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("The sea was calm, and the old man rowed towards the island without a word. " * 12, encoding="utf-8")
    tokens = run("tokenize", "--file", str(text))["token_ids"][:WINDOW * WINDOWS]
    assert len(tokens) == WINDOW * WINDOWS
    divergences, agreements = [], []
    for start in range(0, len(tokens), WINDOW):
        both = []
        for model in (model_path, other_model):
            out = tmp_path / "logits.npy"
            run("score", "--model", str(model), "--logits-out", str(out),
                "--token-ids", ",".join(map(str, tokens[start:start + WINDOW])))
            both.append(log_softmax(np.load(out)[WINDOW // 2:-1]))
        reference, ours = both
        divergences.append((np.exp(reference) * (reference - ours)).sum(axis=-1))
        agreements.append(reference.argmax(-1) == ours.argmax(-1))
    expected = np.concatenate(divergences)

    text.write_text(run("tokenize", "--decode", ",".join(map(str, tokens)))["text"], encoding="utf-8")
    found = run("score", "--model", str(other_model), "--compare", str(model_path), "--file", str(text),
                "--context", str(WINDOW))
    assert found["positions"] == len(expected)
    assert found["windows"] == WINDOWS
    assert expected.mean() > 1e-3, "the changed model must differ, or nothing was compared"
    assert found["kl_mean"] == pytest.approx(expected.mean(), rel=TOLERANCE, abs=TOLERANCE)
    assert found["kl_p99"] == pytest.approx(np.percentile(expected, 99), rel=TOLERANCE, abs=TOLERANCE)
    assert found["kl_maximum"] == pytest.approx(expected.max(), rel=TOLERANCE, abs=TOLERANCE)
    assert found["top_agreement"] == pytest.approx(np.concatenate(agreements).mean())


def test_a_model_equals_itself(run, model_path, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("Bread needs flour, water, salt and time. " * 20, encoding="utf-8")
    found = run("score", "--compare", str(model_path), "--file", str(text), "--context", str(WINDOW))
    assert (found["kl_maximum"], found["top_agreement"]) == (0.0, 1.0)


def test_compare_needs_a_text(program, shared_home):
    result = conclave_process.run_program(shared_home, "score", "--compare", "x", "--token-ids", "1", "--logits-out", "y")
    assert result.returncode == 2
    assert "--compare needs --file" in result.stderr
