"""`convert upcycle`: dense models as mixtures of experts. With all experts they are the dense model of `transformers`;
with fewer they are what numpy makes of the written file by the rule of docs/experts.md."""

import numpy as np
import pytest

from support import conclave_process, tiny_checkpoint

gguf = pytest.importorskip("gguf", reason="the gguf package is not installed")
torch = pytest.importorskip("torch", reason="torch is not installed")

TOKENS = 64
TEXT = ("The owl flies at night, and the whale sings in the sea. An old man rowed towards the island without a word, "
        "while the children counted stars; nobody knew how many there were. ") * 40
# Float32 sums in another order differ by about 1e-6 of logits of this size.
TOLERANCE = 5e-5
CHECKPOINTS = {
    "llama": ("Llama", {}),
    "llama, own head": ("Llama", {"tie_word_embeddings": False, "intermediate_size": 640}),
    "mistral, window": ("Mistral", {"sliding_window": 16, "head_dim": 96}),
}


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def upcycle(run, text, source, out, experts: int, top_k: int, shared: float) -> dict:
    return run("convert", "upcycle", "--experts", str(experts), "--top-k", str(top_k), "--shared", str(shared),
               "--calibrate", str(text), "--context", "128", str(source), str(out))


def some_tokens(vocabulary: int) -> list[int]:
    return torch.randint(0, vocabulary, (TOKENS,), generator=torch.Generator().manual_seed(1)).tolist()


def logits_of(run, model, tokens, folder) -> np.ndarray:
    out = folder / "logits.npy"
    run("score", "--model", str(model), "--token-ids", ",".join(map(str, tokens)), "--logits-out", str(out),
        "--threads", "1")
    return np.load(out)


def close(found: np.ndarray, expected: np.ndarray) -> None:
    worst = float(np.abs(found - expected).max())
    print(f"largest difference {worst:.2e} of logits up to {np.abs(expected).max():.2f}")
    assert np.abs(expected).max() > 0.5
    assert worst < TOLERANCE


class WrittenModel:
    """A file's model in numpy, float64: from its keys and tensors alone."""

    def __init__(self, path):
        reader = gguf.GGUFReader(str(path))
        self.tensors = {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1])
                        .astype(np.float64) for tensor in reader.tensors}
        self.fields = reader.fields

    def key(self, name: str, otherwise=None):
        field = self.fields.get("conclave-moe." + name)
        return otherwise if field is None else field.contents()

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        scale = np.sqrt((x * x).mean(-1, keepdims=True) + self.key("attention.layer_norm_rms_epsilon"))
        return x / scale * self.tensors[name]

    def rotated(self, x: np.ndarray) -> np.ndarray:
        """x [tokens, heads, head]: neighbours rotate together, as in llama's files."""
        half = x.shape[-1] // 2
        angles = np.arange(len(x))[:, None] * self.key("rope.freq_base") ** (-np.arange(half) / half)
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        even, odd = x[..., 0::2], x[..., 1::2]
        return np.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape)

    def attention(self, x: np.ndarray, block: str) -> np.ndarray:
        heads, kv_heads = self.key("attention.head_count"), self.key("attention.head_count_kv")
        query, key, value = (x @ self.tensors[f"{block}attn_{name}.weight"].T for name in "qkv")
        query = self.rotated(query.reshape(TOKENS, heads, -1))
        key = self.rotated(key.reshape(TOKENS, kv_heads, -1)).repeat(heads // kv_heads, axis=1)
        value = value.reshape(TOKENS, kv_heads, -1).repeat(heads // kv_heads, axis=1)
        scores = np.einsum("ihd,jhd->hij", query, key) / np.sqrt(query.shape[-1])
        past = np.arange(TOKENS)[:, None] - np.arange(TOKENS)[None]
        window = self.key("attention.sliding_window", 0)
        hidden = (past < 0) | ((past >= window) if window else False)
        scores[:, hidden] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        out = np.einsum("hij,jhd->ihd", weights, value).reshape(TOKENS, -1)
        return out @ self.tensors[block + "attn_output.weight"].T

    @staticmethod
    def swiglu(x, gate, up, down) -> np.ndarray:
        gated = x @ gate.T
        return (gated / (1.0 + np.exp(-gated)) * (x @ up.T)) @ down.T

    def experts(self, x: np.ndarray, block: str) -> np.ndarray:
        """The rule: the top_k experts of the highest router logits, each counted once, and the shared one."""
        parts = [self.tensors[f"{block}ffn_{name}_exps.weight"] for name in ("gate", "up", "down")]
        logits = x @ self.tensors[block + "ffn_gate_inp.weight"].T
        chosen = np.argsort(-logits, axis=-1, kind="stable")[:, :self.key("expert_used_count")]
        out = np.zeros_like(x)
        for expert in range(self.key("expert_count")):
            uses = (chosen == expert).any(-1, keepdims=True)
            out += np.where(uses, self.swiglu(x, *(part[expert] for part in parts)), 0.0)
        if block + "ffn_gate_shexp.weight" in self.tensors:
            out += self.swiglu(x, *(self.tensors[f"{block}ffn_{name}_shexp.weight"] for name in ("gate", "up", "down")))
        return out

    def logits(self, tokens: list[int]) -> np.ndarray:
        x = self.tensors["token_embd.weight"][tokens]
        for layer in range(self.key("block_count")):
            block = f"blk.{layer}."
            x = x + self.attention(self.norm(x, block + "attn_norm.weight"), block)
            x = x + self.experts(self.norm(x, block + "ffn_norm.weight"), block)
        head = self.tensors.get("output.weight", self.tensors["token_embd.weight"])
        return self.norm(x, "output_norm.weight") @ head.T


@pytest.mark.parametrize("shared", [0.0, 0.3])
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_all_experts_give_the_logits_of_transformers(run, text, tmp_path, name, shared):
    family, changes = CHECKPOINTS[name]
    model = tiny_checkpoint.make(tmp_path / "tiny", family=family, **changes)
    report = upcycle(run, text, tmp_path / "tiny", tmp_path / "out.gguf", 4, 4, shared)
    assert (report["active_share"], report["kept"], report["down_type"]) == (1.0, 1.0, "F32")
    assert (report["shared_width"] > 0) == (shared > 0)
    tokens = some_tokens(model.config.vocab_size)
    with torch.no_grad():
        expected = model(torch.tensor([tokens])).logits[0].numpy()
    close(logits_of(run, tmp_path / "out.gguf", tokens, tmp_path), expected)


@pytest.mark.parametrize("experts, top_k, shared", [(4, 1, 0.0), (8, 5, 0.0), (6, 2, 0.3), (3, 3, 0.3)])
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_some_experts_give_the_logits_of_numpy(run, text, tmp_path, name, experts, top_k, shared):
    family, changes = CHECKPOINTS[name]
    model = tiny_checkpoint.make(tmp_path / "tiny", family=family, **changes)
    blocks = model.config.intermediate_size // 32
    if shared == 0.0 and blocks % experts:
        experts, top_k = 5, 3
    upcycle(run, text, tmp_path / "tiny", tmp_path / "out.gguf", experts, top_k, shared)
    tokens = some_tokens(model.config.vocab_size)
    close(logits_of(run, tmp_path / "out.gguf", tokens, tmp_path), WrittenModel(tmp_path / "out.gguf").logits(tokens))


def test_groups_and_routers_do_better_than_chance(run, text, tmp_path):
    """On the text they were made for, routers keep more energy than experts that are drawn."""
    tiny_checkpoint.make(tmp_path / "tiny")
    report = upcycle(run, text, tmp_path / "tiny", tmp_path / "out.gguf", 8, 2, 0.0)
    assert 0.25 < report["kept"] < report["kept_at_best"] < 1.0, report
    assert report["kept"] > 0.3, report


def test_half_precision_keeps_its_bits(run, text, tmp_path):
    model = tiny_checkpoint.make(tmp_path / "tiny", dtype="bfloat16")
    report = upcycle(run, text, tmp_path / "tiny", tmp_path / "out.gguf", 4, 4, 0.0)
    assert report["down_type"] == "BF16"
    written = {tensor.name: tensor for tensor in gguf.GGUFReader(str(tmp_path / "out.gguf")).tensors}
    down = written["blk.1.ffn_down_exps.weight"]
    found = gguf.quants.dequantize(down.data, down.tensor_type).reshape(4, model.config.hidden_size, -1)
    expected = model.state_dict()["model.layers.1.mlp.down_proj.weight"].float().numpy()
    columns = found.transpose(0, 2, 1).reshape(-1, model.config.hidden_size)
    assert sorted(map(tuple, columns)) == sorted(map(tuple, expected.T))


def test_the_result_can_be_quantised(run, text, tmp_path):
    tiny_checkpoint.make(tmp_path / "tiny")
    upcycle(run, text, tmp_path / "tiny", tmp_path / "out.gguf", 4, 4, 0.25)
    divergences = []
    for kind in ("Q8_0", "Q4_0"):
        small = tmp_path / f"{kind}.gguf"
        run("convert", "quantize", "--type", kind, str(tmp_path / "out.gguf"), str(small))
        found = run("score", "--model", str(small), "--compare", str(tmp_path / "tiny"), "--file", str(text), "--context",
                    "128")
        divergences.append(found["kl_mean"])
    print(divergences)
    # Steps of 4 bits are 18 times those of 8, and KL divergence grows with the square.
    assert 0.0 < divergences[0] < divergences[1] / 18.0 and divergences[1] < 0.2


def test_mixtures_are_refused(shared_home, program, text, tmp_path):
    del program
    tiny_checkpoint.make(tmp_path / "tiny", family="Mixtral", num_local_experts=4)
    result = conclave_process.run_program(shared_home, "convert", "upcycle", "--calibrate", str(text), "--context", "128",
                                          str(tmp_path / "tiny"), str(tmp_path / "out.gguf"))
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1 and "mixture of 4 experts already" in result.stderr, result.stderr
    assert not (tmp_path / "out.gguf").exists()
