"""Logits of small random float32 Llama checkpoints against those of `transformers`."""

import subprocess

import numpy as np
import pytest

from support import conclave_process

TOKENS = 80
# Float32 sums in another order differ by about 1e-6 here.
TOLERANCE = 1e-5
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "rope_theta": 10000.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32, "rope_theta": 10000.0}
CHECKPOINTS = {
    "plain": {},
    "tied": {"tie_word_embeddings": True},
    "grouped": {"num_key_value_heads": 2},
    "one key-value head": {"num_key_value_heads": 1},
    "odd sizes": {"hidden_size": 60, "intermediate_size": 172, "num_attention_heads": 6, "num_key_value_heads": 3,
                  "vocab_size": 307, "num_hidden_layers": 3},
    "wide heads": {"head_dim": 24},
    "linear rope": {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}},
    "llama3 rope": {"rope_parameters": LLAMA3, "num_key_value_heads": 2},
    "yarn rope": {"rope_parameters": YARN},
    "another base": {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}},
}
BASE = {"vocab_size": 256, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 128,
        "tie_word_embeddings": False}


def score(program, home, model, tokens: list[int]) -> np.ndarray:
    """Our logits [tokens, vocabulary] after each token."""
    out = home.path / "logits.npy"
    subprocess.run([str(program), "score", "--model", str(model), "--token-ids", ",".join(map(str, tokens)),
                    "--logits-out", str(out), "--threads", "1"], check=True, env=home.environment(),
                   capture_output=True, timeout=300)
    return np.load(out)


@pytest.fixture(scope="module")
def empty_home():
    made = conclave_process.Home(None)
    yield made
    made.remove()


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_random_checkpoints_give_the_logits_of_transformers(program, empty_home, tmp_path, name):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(len(name))
    model = LlamaForCausalLM(LlamaConfig(**{**BASE, **CHECKPOINTS[name]})).to(torch.float32).eval()
    with torch.no_grad():
        # Larger than a fresh model's, so that attention is far from uniform and logits from zero.
        for parameter in model.parameters():
            parameter.mul_(3.0 if parameter.dim() > 1 else 1.0)
    model.save_pretrained(tmp_path, safe_serialization=True)
    vocabulary = model.config.vocab_size
    tokens = torch.randint(0, vocabulary, (TOKENS,), generator=torch.Generator().manual_seed(1)).tolist()
    with torch.no_grad():
        reference = model(torch.tensor([tokens])).logits[0].numpy()
    ours = score(program, empty_home, tmp_path, tokens)
    assert ours.dtype == np.float32 and ours.shape == reference.shape
    worst = float(np.abs(ours - reference).max())
    print(f"{name}: largest difference {worst:.2e} of logits up to {np.abs(reference).max():.2f}")
    assert np.abs(reference).max() > 0.1
    assert worst < TOLERANCE
