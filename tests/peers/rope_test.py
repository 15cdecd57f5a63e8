"""RoPE's angles and the described architecture against transformers, for every scaling and both ways to write it."""

import json

import numpy as np
import pytest

from support import probes

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

POSITIONS = [0, 1, 2, 7, 63, 511, 512, 4095, 4096, 8191, 16383]
PAIRS = 32

SCALINGS = {
    "default": None,
    "theta": {"rope_type": "default", "rope_theta": 500000.0},
    "linear": {"rope_type": "linear", "factor": 4.0},
    "dynamic": {"rope_type": "dynamic", "factor": 2.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096},
    "yarn_attention": {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 2048,
                       "attention_factor": 1.25, "beta_fast": 16.0, "beta_slow": 2.0},
    "yarn_mscale": {"rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 4096,
                    "mscale": 0.707, "mscale_all_dim": 1.0},
    "yarn_fractional": {"rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096,
                        "truncate": False},
    "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 8192},
    "longrope_long": {"rope_type": "longrope", "original_max_position_embeddings": 4096,
                      "short_factor": [1.0 + 0.01 * i for i in range(PAIRS)],
                      "long_factor": [1.0 + 0.9 * i for i in range(PAIRS)]},
    "longrope_short": {"rope_type": "longrope", "original_max_position_embeddings": 16384, "factor": 4.0,
                       "short_factor": [1.0 + 0.01 * i for i in range(PAIRS)],
                       "long_factor": [1.0 + 0.9 * i for i in range(PAIRS)]},
}


def save_tiny_model(folder, scaling, spelling, head_dim=2 * PAIRS):
    """A one-layer random llama as transformers writes it; `spelling` is the key its rope fields stand under."""
    config = transformers.LlamaConfig(
        hidden_size=128, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        head_dim=head_dim, vocab_size=16, max_position_embeddings=16384, rope_parameters=scaling)
    torch.manual_seed(1)
    model = transformers.LlamaForCausalLM(config).eval()
    model.save_pretrained(folder)
    if spelling == "rope_scaling":
        path = folder / "config.json"
        written = json.loads(path.read_text())
        rope = written.pop("rope_parameters")
        written["rope_theta"] = rope.pop("rope_theta", 10000.0)
        rope["type"] = rope.pop("rope_type")
        written["rope_scaling"] = None if rope["type"] == "default" else rope
        path.write_text(json.dumps(written))
    return model


def expected_angles(model, positions):
    """[positions, dims]: cosines and sines of the distinct pairs, as the model's own module computes them for a
    sequence that fills the model's context."""
    rotary = model.model.rotary_emb
    fill = torch.tensor([[model.config.max_position_embeddings - 1]])
    rotary(torch.zeros(1), fill)
    pairs = rotary.inv_freq.shape[0]
    angles = torch.outer(torch.tensor(positions, dtype=torch.float32), rotary.inv_freq.float())
    cosines, sines = angles.cos() * rotary.attention_scaling, angles.sin() * rotary.attention_scaling
    assert cosines.shape == (len(positions), pairs)
    return torch.cat([cosines, sines], dim=1).numpy(), rotary.inv_freq.numpy(), rotary.attention_scaling


@pytest.mark.parametrize("spelling", ["rope_parameters", "rope_scaling"])
@pytest.mark.parametrize("name", SCALINGS)
def test_angles_match_transformers(tmp_path, name, spelling):
    scaling = dict(SCALINGS[name]) if SCALINGS[name] else None
    model = save_tiny_model(tmp_path, scaling, spelling)
    theirs, frequencies, attention = expected_angles(model, POSITIONS)
    ours = probes.engine_floats("rope", tmp_path, *POSITIONS).reshape(theirs.shape)

    # Frequencies may differ by a few units in the last place (their powers are float32, ours are rounded once); an
    # angle is off by that times its size, and rounding the angle and the result adds a unit each.
    unit = 2.0**-23
    angles = np.outer(POSITIONS, frequencies)
    tolerance = attention * (6 * unit * angles + 2 * unit)
    difference = np.abs(ours.astype(np.float64) - theirs)
    assert (difference <= np.concatenate([tolerance, tolerance], axis=1)).all(), difference.max()


def test_head_width_that_is_no_power_of_two(tmp_path):
    model = save_tiny_model(tmp_path, SCALINGS["yarn"], "rope_parameters", head_dim=80)
    theirs, frequencies, attention = expected_angles(model, POSITIONS)
    ours = probes.engine_floats("rope", tmp_path, *POSITIONS).reshape(theirs.shape)
    tolerance = attention * (6 * 2.0**-23 * np.outer(POSITIONS, frequencies) + 2 * 2.0**-23)
    assert (np.abs(ours.astype(np.float64) - theirs) <= np.concatenate([tolerance, tolerance], axis=1)).all()


@pytest.mark.parametrize("position", [0, 100, 5000, 16000])
def test_dynamic_scaling_is_plain_within_the_context(tmp_path, position):
    """What the engine relies on: transformers stretches only sequences longer than the model's context."""
    model = save_tiny_model(tmp_path, SCALINGS["dynamic"], "rope_parameters")
    rotary = model.model.rotary_emb
    rotary(torch.zeros(1), torch.tensor([[position]]))
    plain = 1.0 / (10000.0 ** (torch.arange(0, 2 * PAIRS, 2).float() / (2 * PAIRS)))
    assert torch.equal(rotary.inv_freq, plain)


def test_description_matches_the_written_config(tmp_path):
    model = save_tiny_model(tmp_path, SCALINGS["theta"], "rope_parameters")
    described = json.loads(probes.run("engine", "describe", tmp_path))
    config = model.config
    assert described == {
        "family": "llama", "layers": 1, "hidden": 128, "inner": 32, "query_heads": 2, "kv_heads": 1,
        "head_dim": 64, "vocabulary": 16, "context": 16384, "norm_epsilon": config.rms_norm_eps,
        "rope_theta": 500000.0, "interleaved": False, "sliding_window": 0, "tied_embeddings": False}


def test_mistral_sliding_window(tmp_path):
    config = transformers.MistralConfig(
        hidden_size=128, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        vocab_size=16, max_position_embeddings=8192, sliding_window=256, tie_word_embeddings=True)
    transformers.MistralForCausalLM(config).save_pretrained(tmp_path)
    described = json.loads(probes.run("engine", "describe", tmp_path))
    assert (described["family"], described["sliding_window"], described["tied_embeddings"]) == ("mistral", 256, True)


def test_sharded_checkpoint(tmp_path):
    model = save_tiny_model(tmp_path / "one", None, "rope_parameters")
    model.save_pretrained(tmp_path / "many", max_shard_size="40KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 1
    assert probes.run("engine", "describe", tmp_path / "many") == probes.run("engine", "describe", tmp_path / "one")
