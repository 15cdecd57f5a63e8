"""Logits of small random mixtures of experts, float32, beside `transformers`: from its own folders, and from GGUF files
that the `gguf` package writes with the names and layouts of llama.cpp."""

import numpy as np
import pytest

from support import conclave_process, gguf_checkpoint, tiny_checkpoint
from support.peer_logits import check

gguf = pytest.importorskip("gguf", reason="the gguf package is not installed")
pytest.importorskip("torch", reason="torch is not installed")

QWEN = {"moe_intermediate_size": 96, "num_experts": 6, "num_experts_per_tok": 2}
CHECKPOINTS = {
    "mixtral": ("Mixtral", {"num_local_experts": 4}),
    "mixtral, one expert a token": ("Mixtral", {"num_local_experts": 5, "num_experts_per_tok": 1}),
    "mixtral, window": ("Mixtral", {"num_local_experts": 3, "sliding_window": 16, "head_dim": 96}),
    "qwen2": ("Qwen2Moe", {**QWEN, "shared_expert_intermediate_size": 160}),
    "qwen2, dense layer": ("Qwen2Moe", {**QWEN, "shared_expert_intermediate_size": 160, "mlp_only_layers": [0],
                                        "norm_topk_prob": True, "qkv_bias": False}),
    "qwen3": ("Qwen3Moe", {**QWEN, "norm_topk_prob": True, "head_dim": 48}),
    "qwen3, every second layer": ("Qwen3Moe", {**QWEN, "num_hidden_layers": 4, "decoder_sparse_step": 2}),
    "qwen3, many experts": ("Qwen3Moe", {**QWEN, "num_experts": 40, "num_experts_per_tok": 8}),
    "olmoe": ("Olmoe", {"num_experts": 8, "num_experts_per_tok": 3}),
    "olmoe, clipped": ("Olmoe", {"num_experts": 8, "num_experts_per_tok": 3, "clip_qkv": 1.5, "norm_topk_prob": True,
                                 "num_key_value_heads": 4}),
}
GGUF = {"mixtral": "llama", "qwen2": "qwen2moe", "qwen3": "qwen3moe", "olmoe": "olmoe"}


def make(folder, name: str, tokenizer: bool = False):
    family, changes = CHECKPOINTS[name]
    return tiny_checkpoint.make(folder, family=family, tokenizer=tokenizer, **changes)


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key projection in the order of llama.cpp's llama: neighbours rotate together."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def tensors_of(model, architecture: str) -> dict[str, np.ndarray]:
    """llama.cpp's names of the tensors, experts one below the other."""
    config = model.config
    state = {name: tensor.float().numpy() for name, tensor in model.state_dict().items()}
    tensors = {"token_embd.weight": state["model.embed_tokens.weight"], "output_norm.weight": state["model.norm.weight"]}
    for layer in range(config.num_hidden_layers):
        own = {name.removeprefix(f"model.layers.{layer}."): tensor for name, tensor in state.items()
               if name.startswith(f"model.layers.{layer}.")}
        block = f"blk.{layer}."
        for ours, theirs in (("attn_q", "q_proj"), ("attn_k", "k_proj"), ("attn_v", "v_proj"), ("attn_output", "o_proj"),
                             ("attn_q_norm", "q_norm"), ("attn_k_norm", "k_norm")):
            for part in ("weight", "bias"):
                if f"self_attn.{theirs}.{part}" in own:
                    tensors[f"{block}{ours}.{part}"] = own[f"self_attn.{theirs}.{part}"]
        if architecture == "llama":
            for ours, heads in (("attn_q", config.num_attention_heads), ("attn_k", config.num_key_value_heads)):
                tensors[f"{block}{ours}.weight"] = interleaved(tensors[f"{block}{ours}.weight"], heads)
        tensors[block + "attn_norm.weight"] = own["input_layernorm.weight"]
        tensors[block + "ffn_norm.weight"] = own["post_attention_layernorm.weight"]
        tensors[block + "ffn_gate_inp.weight"] = own["mlp.gate.weight"]
        # In memory gate and up are one tensor, [experts, 2 * inner, hidden].
        both = own["mlp.experts.gate_up_proj"]
        tensors[block + "ffn_gate_exps.weight"], tensors[block + "ffn_up_exps.weight"] = np.split(both, 2, axis=1)
        tensors[block + "ffn_down_exps.weight"] = own["mlp.experts.down_proj"]
        if "mlp.shared_expert_gate.weight" in own:
            tensors[block + "ffn_gate_inp_shexp.weight"] = own["mlp.shared_expert_gate.weight"][0]
            for part in ("gate", "up", "down"):
                tensors[f"{block}ffn_{part}_shexp.weight"] = own[f"mlp.shared_expert.{part}_proj.weight"]
    return tensors


def write_gguf(model, architecture: str, path) -> None:
    config = model.config
    writer = gguf_checkpoint.begin(path, architecture, config)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_expert_count(getattr(config, "num_experts", None) or config.num_local_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    if head_dim := getattr(config, "head_dim", None):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if inner := getattr(config, "moe_intermediate_size", None):
        writer.add_expert_feed_forward_length(inner)
    if shared := getattr(config, "shared_expert_intermediate_size", None):
        writer.add_expert_shared_feed_forward_length(shared)
    for name, tensor in tensors_of(model, architecture).items():
        writer.add_tensor(name, np.ascontiguousarray(tensor, dtype=np.float32))
    gguf_checkpoint.end(writer)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_folders_give_the_logits_of_transformers(run, tmp_path, name):
    check(run, tmp_path / "tiny", make(tmp_path / "tiny", name), tmp_path)


@pytest.mark.parametrize("name", GGUF)
def test_gguf_files_give_the_logits_of_transformers(run, tmp_path, name):
    model = make(tmp_path / "tiny", name)
    write_gguf(model, GGUF[name], tmp_path / "tiny.gguf")
    check(run, tmp_path / "tiny.gguf", model, tmp_path)


@pytest.mark.parametrize("name", GGUF)
def test_converted_folders_are_such_files(run, tmp_path, name):
    model = make(tmp_path / "tiny", name, tokenizer=True)
    out = tmp_path / "out.gguf"
    if name == "qwen3":  # norm_topk_prob is true; that family's files cannot say the other
        assert model.config.norm_topk_prob
    run("convert", "quantize", "--type", "F32", str(tmp_path / "tiny"), str(out))
    written = {tensor.name: tensor.data.reshape(tensor.shape[::-1]) for tensor in gguf.GGUFReader(str(out)).tensors}
    expected = tensors_of(model, GGUF[name])
    assert set(written) == set(expected)
    for tensor, numbers in expected.items():
        assert written[tensor].shape == numbers.shape and np.array_equal(written[tensor], numbers), tensor
    check(run, out, model, tmp_path)


@pytest.mark.parametrize("name", ["mixtral", "qwen2"])
def test_quantised_mixtures_stay_near(run, tmp_path, name):
    family, changes = CHECKPOINTS[name]
    # All experts for every token: who is chosen by a hair changes with any rounding, and tells nothing of the weights.
    experts = changes.get("num_experts", changes.get("num_local_experts"))
    tiny_checkpoint.make(tmp_path / "tiny", family=family, **{**changes, "num_experts_per_tok": experts})
    text = tmp_path / "text.txt"
    text.write_text("The owl flies at night, and the whale sings in the sea. " * 40, encoding="utf-8")
    divergences = []
    for kind in ("Q8_0", "Q4_0"):
        out = tmp_path / f"{kind}.gguf"
        run("convert", "quantize", "--type", kind, "--calibrate", str(text), "--context", "128", str(tmp_path / "tiny"),
            str(out))
        found = run("score", "--model", str(out), "--compare", str(tmp_path / "tiny"), "--file", str(text), "--context",
                    "128")
        divergences.append(found["kl_mean"])
    print(divergences)
    # Steps of 4 bits are 18 times those of 8, and KL divergence grows with the square; activations are 8-bit in both.
    assert 0.0 < divergences[0] < divergences[1] / 18.0 and divergences[1] < 0.1


@pytest.mark.parametrize("name, words", [("qwen2, dense layer", "which layers are dense"),
                                         ("qwen3, many experts", "norm_topk_prob"),
                                         ("olmoe, clipped", "clip_qkv")])
def test_what_gguf_cannot_say_is_refused(shared_home, program, tmp_path, name, words):
    del program
    make(tmp_path / "tiny", name, tokenizer=True)
    result = conclave_process.run_program(shared_home, "convert", "quantize", str(tmp_path / "tiny"),
                                          str(tmp_path / "out.gguf"))
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1 and words in result.stderr, result.stderr
