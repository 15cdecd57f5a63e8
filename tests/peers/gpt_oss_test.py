"""Logits of small random gpt_oss models beside `transformers`: from folders and from GGUF files with the names of
llama.cpp, with experts as floats and in MXFP4."""

import json

import numpy as np
import pytest

from support import conclave_process, gguf_checkpoint, tiny_checkpoint
from support.peer_logits import check, check_engine, check_greedy, reference, stepped

gguf = pytest.importorskip("gguf", reason="the gguf package is not installed")
torch = pytest.importorskip("torch", reason="torch is not installed")

YARN = {"rope_type": "yarn", "rope_theta": 150000.0, "factor": 8.0, "beta_fast": 32.0, "beta_slow": 1.0,
        "truncate": False, "original_max_position_embeddings": 32}
SIZES = {"num_local_experts": 6, "num_experts_per_tok": 2, "head_dim": 32, "sliding_window": 16, "intermediate_size": 96,
         "hidden_size": 128, "num_hidden_layers": 3, "tie_word_embeddings": False, "rope_parameters": YARN}
CHECKPOINTS = {
    "alternating": {},
    "clamped early": {"swiglu_limit": 0.5},
    "window longer than the text": {"sliding_window": 200},
    "window of one": {"sliding_window": 1},
    "all layers full": {"layer_types": ["full_attention"] * 3},
    "full layers first": {"layer_types": ["full_attention", "full_attention", "sliding_attention"]},
    "no attention biases": {"attention_bias": False},
    "plain rope": {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
    "whole pairs, other clamps": {"rope_parameters": {**YARN, "truncate": True, "attention_factor": 1.3},
                                  "swiglu_alpha": 1.0, "swiglu_limit": 0.25},
    "one expert a token": {"num_experts_per_tok": 1},
    "wide heads": {"head_dim": 96, "num_key_value_heads": 4},
    "tied embeddings": {"tie_word_embeddings": True},
    # Who is chosen by a hair changes with any rounding, and tells nothing of the weights.
    "all experts": {"num_experts_per_tok": 6},
}
# What GGUF files of the family can say.
IN_GGUF = ["alternating", "window longer than the text", "no attention biases", "plain rope", "one expert a token",
           "wide heads"]
# Each of two products reads activations of 8 bits, whose steps are 1/254 of a block's largest; they average out.
QUANTISED_SHARE = 0.02


def make(folder, name: str, tokenizer: bool = False):
    model = tiny_checkpoint.make(folder, family="GptOss", tokenizer=tokenizer, **{**SIZES, **CHECKPOINTS[name]})
    with torch.no_grad():
        for parameter, numbers in model.named_parameters():
            if parameter.endswith("bias"):  # fresh ones are zeros
                numbers.add_(0.3 * torch.randn_like(numbers))
            if parameter.endswith("sinks"):
                numbers.copy_(torch.linspace(-2.0, 3.0, len(numbers)))
    model.save_pretrained(folder)
    return model


def mxfp4(numbers: np.ndarray) -> np.ndarray:
    """Rows in GGUF's MXFP4: [..., columns / 32, 17]."""
    rows = gguf.quants.quantize(np.ascontiguousarray(numbers, dtype=np.float32), gguf.GGMLQuantizationType.MXFP4)
    return rows.reshape(*rows.shape[:-1], -1, 17)


def in_two_tensors(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same as folders have it: blocks, of which a byte holds two neighbours, and scales."""
    codes = np.concatenate([rows[..., 1:] & 15, rows[..., 1:] >> 4], axis=-1)
    return codes[..., 0::2] | codes[..., 1::2] << 4, np.ascontiguousarray(rows[..., 0])


def round_experts(model) -> dict[str, np.ndarray]:
    """Rounds the experts' weights to MXFP4; their rows by name."""
    rounded = {}
    with torch.no_grad():
        for name, numbers in model.named_parameters():
            if not name.endswith(("gate_up_proj", "down_proj")):
                continue
            rows = mxfp4(numbers.transpose(1, 2).numpy())
            rounded[name] = rows
            back = gguf.quants.dequantize(rows.reshape(*rows.shape[:2], -1), gguf.GGMLQuantizationType.MXFP4)
            numbers.copy_(torch.from_numpy(back).transpose(1, 2))
    return rounded


def save_rounded(model, rounded, folder) -> None:
    from safetensors.numpy import load_file, save_file

    model.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    for name, rows in rounded.items():
        tensors[f"{name}_blocks"], tensors[f"{name}_scales"] = in_two_tensors(rows)
        del tensors[name]
    save_file(tensors, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def tensors_of(model) -> dict[str, np.ndarray]:
    state = {name: tensor.float().numpy() for name, tensor in model.state_dict().items()}
    tensors = {"token_embd.weight": state["model.embed_tokens.weight"], "output_norm.weight": state["model.norm.weight"],
               "output.weight": state["lm_head.weight"]}
    for layer in range(model.config.num_hidden_layers):
        own = {name.removeprefix(f"model.layers.{layer}."): tensor for name, tensor in state.items()
               if name.startswith(f"model.layers.{layer}.")}
        block = f"blk.{layer}."
        names = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
                 "attn_output": "self_attn.o_proj", "attn_norm": "input_layernorm",
                 "post_attention_norm": "post_attention_layernorm", "ffn_gate_inp": "mlp.router"}
        for ours, theirs in names.items():
            for part in ("weight", "bias"):
                if f"{theirs}.{part}" in own:
                    tensors[f"{block}{ours}.{part}"] = own[f"{theirs}.{part}"]
        tensors[block + "attn_sinks.weight"] = own["self_attn.sinks"]
        both = own["mlp.experts.gate_up_proj"].swapaxes(1, 2)
        biases = own["mlp.experts.gate_up_proj_bias"]
        for first, part in enumerate(("gate", "up")):
            tensors[f"{block}ffn_{part}_exps.weight"] = both[:, first::2]
            tensors[f"{block}ffn_{part}_exps.bias"] = biases[:, first::2]
        tensors[block + "ffn_down_exps.weight"] = own["mlp.experts.down_proj"].swapaxes(1, 2)
        tensors[block + "ffn_down_exps.bias"] = own["mlp.experts.down_proj_bias"]
    return tensors


def write_gguf(model, path, *, rounded: bool = False) -> None:
    config = model.config
    writer = gguf_checkpoint.begin(path, "gpt-oss", config)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_expert_count(config.num_local_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_expert_feed_forward_length(config.intermediate_size)
    writer.add_sliding_window(config.sliding_window)
    gguf_checkpoint.add_yarn(writer, config)
    for name, tensor in tensors_of(model).items():
        if rounded and "_exps.weight" in name:
            rows = mxfp4(tensor)
            writer.add_tensor(name, rows.reshape(*rows.shape[:-2], -1), raw_dtype=gguf.GGMLQuantizationType.MXFP4)
        else:
            writer.add_tensor(name, np.ascontiguousarray(tensor, dtype=np.float32))
    gguf_checkpoint.end(writer)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_folders_give_the_logits_of_transformers(tmp_path, name):
    check_engine(tmp_path / "tiny", make(tmp_path / "tiny", name), tokens=200)


@pytest.mark.parametrize("name", IN_GGUF)
def test_gguf_files_give_the_logits_of_transformers(tmp_path, name):
    model = make(tmp_path / "tiny", name)
    write_gguf(model, tmp_path / "tiny.gguf")
    check_engine(tmp_path / "tiny.gguf", model)


def test_brain_floats_are_read_as_well(tmp_path):
    model = make(tmp_path / "tiny", "all experts").to(torch.bfloat16)
    model.save_pretrained(tmp_path / "tiny")
    model = model.float()
    ids, expected = reference(model)
    # Keys and values are rounded to bfloat16 beside such weights.
    worst = np.abs(stepped(tmp_path / "tiny", ids, len(ids)) - expected).max()
    print(f"largest difference {worst:.2e}")
    assert not worst >= 0.01 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["alternating", "window of one"])
def test_answers_are_those_of_the_whole_text(run, tmp_path, name):
    check_greedy(run, tmp_path / "tiny", make(tmp_path / "tiny", name, tokenizer=True))


def test_experts_in_mxfp4(tmp_path):
    """The numbers are those of the file, to the last bit; what differs from `transformers` are activations in 8 bits."""
    model = make(tmp_path / "tiny", "all experts")
    save_rounded(model, round_experts(model), tmp_path / "tiny")
    write_gguf(model, tmp_path / "tiny.gguf", rounded=True)
    ids, expected = reference(model)
    ours = stepped(tmp_path / "tiny", ids, len(ids))
    worst = float(np.abs(ours - expected).max() / np.abs(expected).max())
    print(f"largest difference {worst:.4f} of the largest logit")
    assert not worst >= QUANTISED_SHARE
    assert np.array_equal(ours, stepped(tmp_path / "tiny.gguf", ids, len(ids)))
    # Without 8-bit activations nothing is left: the same numbers as floats.
    model.save_pretrained(tmp_path / "floats")
    check_engine(tmp_path / "floats", model)


def test_folders_are_not_converted(shared_home, program, tmp_path):
    del program
    make(tmp_path / "tiny", "alternating", tokenizer=True)
    result = conclave_process.run_program(shared_home, "convert", "quantize", str(tmp_path / "tiny"),
                                          str(tmp_path / "out.gguf"))
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1 and "'gpt_oss'" in result.stderr, result.stderr


def test_gguf_files_are_requantised(run, tmp_path):
    model = make(tmp_path / "tiny", "alternating")
    round_experts(model)
    write_gguf(model, tmp_path / "tiny.gguf", rounded=True)
    out = tmp_path / "out.gguf"
    run("convert", "quantize", "--type", "F32", "--output-type", "F32", "--requantize", str(tmp_path / "tiny.gguf"),
        str(out))
    check(run, out, model, tmp_path)
