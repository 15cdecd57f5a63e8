"""Logits of small random DeepSeek-V2 and V3 models beside `transformers`: from folders and from GGUF files with the
names of llama.cpp, with keys and values as one projection of the latent or as two."""

import numpy as np
import pytest

from support import conclave_process, gguf_checkpoint, tiny_checkpoint
from support.peer_logits import check_engine, check_greedy, reference, stepped

gguf = pytest.importorskip("gguf", reason="the gguf package is not installed")
torch = pytest.importorskip("torch", reason="torch is not installed")

SIZES = {"num_hidden_layers": 3, "hidden_size": 128, "intermediate_size": 192, "num_attention_heads": 4,
         "num_key_value_heads": 4, "kv_lora_rank": 48, "q_lora_rank": None, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16,
         "v_head_dim": 24, "moe_intermediate_size": 64, "n_routed_experts": 8, "n_shared_experts": 2,
         "num_experts_per_tok": 3, "first_k_dense_replace": 1, "tie_word_embeddings": False}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 8.0, "beta_fast": 32, "beta_slow": 1,
        "original_max_position_embeddings": 32, "mscale": 0.707, "mscale_all_dim": 0.707}
GROUPS = {"topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2}
V2 = {
    "v2": {},
    "v2, queries with a latent": {"q_lora_rank": 40},
    "v2, groups": {**GROUPS, "routed_scaling_factor": 16.0, "q_lora_rank": 40},
    "v2, all groups": {**GROUPS, "topk_group": 4},
    "v2, yarn": {"rope_parameters": YARN},
    "v2, yarn without mscale": {"rope_parameters": {key: value for key, value in YARN.items() if "mscale" not in key}},
    "v2, all layers mixed": {"first_k_dense_replace": 0, "n_shared_experts": 1},
    "v2, all layers dense": {"first_k_dense_replace": 3},
    "v2, values wider than keys": {"v_head_dim": 96},
}
V3 = {
    "v3": {"q_lora_rank": 40, "n_group": 4, "topk_group": 2},
    "v3, queries without a latent": {"n_group": 2, "topk_group": 1},
    "v3, one group": {"n_group": 1, "topk_group": 1, "q_lora_rank": 40},
    "v3, weights that add up to anything": {"n_group": 4, "topk_group": 3, "norm_topk_prob": False,
                                            "routed_scaling_factor": 1.0},
    "v3, yarn": {"n_group": 4, "topk_group": 2, "q_lora_rank": 40,
                 "rope_parameters": {**YARN, "mscale": 1.0, "mscale_all_dim": 1.0}},
    "v3, two weights of yarn": {"n_group": 4, "topk_group": 2, "rope_parameters": {**YARN, "mscale": 1.2}},
    "v3, halves": {"n_group": 4, "topk_group": 2, "rope_interleave": False},
    # Who is chosen by a hair changes with any rounding, and tells nothing of the weights.
    "v3, all experts": {"n_group": 1, "topk_group": 1, "num_experts_per_tok": 8, "kv_lora_rank": 64, "q_lora_rank": 64},
}
# A rounding of 8 bits is 1/254 of a block's largest, and every product has two.
QUANTISED_SHARE = 0.05
# What GGUF files of the family can say.
IN_GGUF = [name for name in (*V2, *V3) if name not in ("v3, two weights of yarn", "v3, halves")]


def make(folder, name: str, tokenizer: bool = False):
    family, changes = ("DeepseekV3", V3[name]) if name in V3 else ("DeepseekV2", V2[name])
    model = tiny_checkpoint.make(folder, family=family, tokenizer=tokenizer, **{**SIZES, **changes})
    for key, numbers in model.state_dict().items():
        if key.endswith("e_score_correction_bias"):  # fresh ones are zeros
            numbers.copy_(0.2 * torch.randn(numbers.shape))
    model.save_pretrained(folder)
    return model


def tensors_of(model, split: bool) -> dict[str, np.ndarray]:
    config = model.config
    state = {name: tensor.float().numpy() for name, tensor in model.state_dict().items()}
    tensors = {"token_embd.weight": state["model.embed_tokens.weight"], "output_norm.weight": state["model.norm.weight"],
               "output.weight": state["lm_head.weight"]}
    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
             "attn_q_a": "self_attn.q_a_proj", "attn_q_a_norm": "self_attn.q_a_layernorm", "attn_q_b": "self_attn.q_b_proj",
             "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa", "attn_kv_a_norm": "self_attn.kv_a_layernorm",
             "attn_output": "self_attn.o_proj", "ffn_gate_inp": "mlp.gate"}
    for part in ("gate", "up", "down"):
        names[f"ffn_{part}"] = f"mlp.{part}_proj"
        names[f"ffn_{part}_shexp"] = f"mlp.shared_experts.{part}_proj"
    for layer in range(config.num_hidden_layers):
        prefix = f"model.layers.{layer}."
        own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        block = f"blk.{layer}."
        for ours, theirs in names.items():
            if f"{theirs}.weight" in own:
                tensors[f"{block}{ours}.weight"] = own[f"{theirs}.weight"]
        both = own["self_attn.kv_b_proj.weight"]
        if split:
            heads = both.reshape(config.num_attention_heads, -1, config.kv_lora_rank)
            tensors[block + "attn_k_b.weight"] = heads[:, :config.qk_nope_head_dim].swapaxes(1, 2)
            tensors[block + "attn_v_b.weight"] = heads[:, config.qk_nope_head_dim:]
        else:
            tensors[block + "attn_kv_b.weight"] = both
        if "mlp.experts.down_proj" in own:
            tensors[block + "ffn_gate_exps.weight"], tensors[block + "ffn_up_exps.weight"] = np.split(
                own["mlp.experts.gate_up_proj"], 2, axis=1)
            tensors[block + "ffn_down_exps.weight"] = own["mlp.experts.down_proj"]
        if "mlp.gate.e_score_correction_bias" in own:
            tensors[block + "exp_probs_b.bias"] = own["mlp.gate.e_score_correction_bias"]
    return tensors


def add_routing(writer, config, third: bool) -> None:
    writer.add_leading_dense_block_count(config.first_k_dense_replace)
    writer.add_expert_count(config.n_routed_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    writer.add_expert_shared_count(config.n_shared_experts)
    writer.add_expert_weights_scale(config.routed_scaling_factor)
    writer.add_expert_weights_norm(third and config.norm_topk_prob)
    kind = gguf.ExpertGatingFuncType.SIGMOID if third else gguf.ExpertGatingFuncType.SOFTMAX
    writer.add_expert_gating_func(kind)
    if third or config.topk_method == "group_limited_greedy":
        writer.add_uint32("deepseek2.expert_group_count", config.n_group)
        writer.add_uint32("deepseek2.expert_group_used_count", config.topk_group)


def write_gguf(model, path, *, split: bool, quantised: bool = False) -> None:
    config = model.config
    writer = gguf_checkpoint.begin(path, "deepseek2", config)
    writer.add_kv_lora_rank(config.kv_lora_rank)
    if config.q_lora_rank is not None:
        writer.add_q_lora_rank(config.q_lora_rank)
    widths = config.qk_nope_head_dim + config.qk_rope_head_dim, config.v_head_dim
    if split:
        writer.add_head_count_kv(1)
        writer.add_key_length(config.kv_lora_rank + config.qk_rope_head_dim)
        writer.add_value_length(config.kv_lora_rank)
        writer.add_key_length_mla(widths[0])
        writer.add_value_length_mla(widths[1])
    else:
        writer.add_head_count_kv(config.num_attention_heads)
        writer.add_key_length(widths[0])
        writer.add_value_length(widths[1])
    writer.add_rope_dimension_count(config.qk_rope_head_dim)
    gguf_checkpoint.add_yarn(writer, config)
    if weight := config.rope_parameters.get("mscale_all_dim"):
        writer.add_rope_scaling_yarn_log_mul(0.1 * weight)
    add_routing(writer, config, config.model_type == "deepseek_v3")
    for name, tensor in tensors_of(model, split).items():
        tensor = np.ascontiguousarray(tensor, dtype=np.float32)
        if quantised and tensor.ndim > 1 and "ffn_gate_inp" not in name:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, tensor)
    gguf_checkpoint.end(writer)


@pytest.mark.parametrize("name", [*V2, *V3])
def test_folders_give_the_logits_of_transformers(tmp_path, name):
    check_engine(tmp_path / "tiny", make(tmp_path / "tiny", name), tokens=150)


@pytest.mark.parametrize("name", IN_GGUF)
@pytest.mark.parametrize("split", [False, True], ids=["one projection", "two projections"])
def test_gguf_files_give_the_logits_of_transformers(tmp_path, name, split):
    model = make(tmp_path / "tiny", name)
    write_gguf(model, tmp_path / "tiny.gguf", split=split)
    check_engine(tmp_path / "tiny.gguf", model)


@pytest.mark.parametrize("name", ["v2, groups", "v3"])
def test_answers_are_those_of_the_whole_text(run, tmp_path, name):
    check_greedy(run, tmp_path / "tiny", make(tmp_path / "tiny", name, tokenizer=True))


@pytest.mark.parametrize("split", [False, True], ids=["one projection", "two projections"])
def test_quantised_files_stay_near(tmp_path, split):
    """Activations and matrices have 8 bits then, and cached latents are bfloat16."""
    model = make(tmp_path / "tiny", "v3, all experts")
    write_gguf(model, tmp_path / "q8.gguf", split=split, quantised=True)
    ids, expected = reference(model)
    worst = float(np.abs(stepped(tmp_path / "q8.gguf", ids, 40) - expected).max() / np.abs(expected).max())
    print(f"largest difference {worst:.4f} of the largest logit")
    assert 0.0 < worst < QUANTISED_SHARE


def test_folders_are_not_converted(shared_home, program, tmp_path):
    del program
    make(tmp_path / "tiny", "v3", tokenizer=True)
    result = conclave_process.run_program(shared_home, "convert", "quantize", str(tmp_path / "tiny"),
                                          str(tmp_path / "out.gguf"))
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1 and "'deepseek_v3'" in result.stderr, result.stderr
