"""`convert quantize` from a folder of safetensors: its file beside the checkpoint in `transformers`, as `transformers`
and the `gguf` package read the file, and as llama.cpp runs it where it is built (bench/peer_llama_cpp.py)."""

import sys

import numpy as np
import pytest

from support import conclave_process, tiny_checkpoint
from support.distributions import log_softmax
from support.project_files import REPOSITORY

gguf = pytest.importorskip("gguf", reason="the gguf package is not installed")
torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

TYPES = ["Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]
TOKENS = 96
# Float32 sums in another order differ by about 1e-6 of logits of this size, and angles of stretched RoPE are rounded
# once more when the file keeps them as divisors.
TOLERANCE = 5e-5
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32, "rope_theta": 10000.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "rope_theta": 10000.0}
CHECKPOINTS = {
    "tied": {},
    "own head": {"tie_word_embeddings": False},
    "wide heads": {"head_dim": 96, "num_key_value_heads": 4},
    "linear rope": {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}},
    "llama3 rope": {"rope_parameters": LLAMA3},
    "yarn rope": {"rope_parameters": YARN},
}


def some_tokens(vocabulary: int) -> list[int]:
    return torch.randint(0, vocabulary, (TOKENS,), generator=torch.Generator().manual_seed(1)).tolist()


def logits_of(model, tokens: list[int]) -> np.ndarray:
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].float().numpy()


def our_logits(run, model, tokens: list[int], folder) -> np.ndarray:
    out = folder / "logits.npy"
    run("score", "--model", str(model), "--token-ids", ",".join(map(str, tokens)), "--logits-out", str(out),
        "--threads", "1")
    return np.load(out)


def decoded(path) -> dict[str, np.ndarray]:
    return {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1])
            for tensor in gguf.GGUFReader(str(path)).tensors}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """(folder, float32 model)"""
    folder = tmp_path_factory.mktemp("plain") / "tiny"
    return folder, tiny_checkpoint.make(folder)


@pytest.fixture(scope="module")
def converted(run, checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("converted") / "f32.gguf"
    run("convert", "quantize", "--type", "F32", str(checkpoint[0]), str(path))
    return path


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_logits_are_those_of_transformers(run, tmp_path, name):
    model = tiny_checkpoint.make(tmp_path / "tiny", **CHECKPOINTS[name])
    out = tmp_path / "f32.gguf"
    run("convert", "quantize", "--type", "F32", str(tmp_path / "tiny"), str(out))
    tokens = some_tokens(model.config.vocab_size)
    expected = logits_of(model, tokens)
    worst = float(np.abs(our_logits(run, out, tokens, tmp_path) - expected).max())
    print(f"{name}: largest difference {worst:.2e} of logits up to {np.abs(expected).max():.2f}")
    assert np.abs(expected).max() > 0.5
    assert worst < TOLERANCE


def test_transformers_reads_the_same_model_from_the_file(converted, checkpoint):
    read = transformers.AutoModelForCausalLM.from_pretrained(
        str(converted.parent), gguf_file=converted.name, dtype=torch.float32).eval()
    tokens = some_tokens(read.config.vocab_size)
    assert np.abs(logits_of(read, tokens) - logits_of(checkpoint[1], tokens)).max() < TOLERANCE


def test_tokens_and_chat_template_are_the_folders(run, converted, checkpoint):
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint[0])
    text = REPOSITORY.joinpath("docs/architecture.md").read_text(encoding="utf-8")[:3000] + " naïve 12345 \n\n\t日本"
    ours = run("tokenize", "--model", str(converted), "--text", text)["token_ids"]
    assert ours == tokenizer.encode(text, add_special_tokens=False)
    fields = gguf.GGUFReader(str(converted)).fields
    assert fields["tokenizer.chat_template"].contents() == tiny_checkpoint.CHAT_TEMPLATE
    assert fields["tokenizer.ggml.bos_token_id"].contents() == tokenizer.bos_token_id
    assert fields["tokenizer.ggml.eos_token_id"].contents() == tokenizer.eos_token_id
    types = fields["tokenizer.ggml.token_type"].contents()
    assert len(types) == tiny_checkpoint.SIZES["vocab_size"]
    assert (types[:3], types[-1]) == ([3, 3, 1], 5)  # control, control, normal; unused rows of the table
    rendered = run("tokenize", "--model", str(converted), "--parse-special", "--text", "<|im_start|>user")["token_ids"]
    assert rendered[0] == tokenizer.bos_token_id


@pytest.mark.parametrize("name", TYPES)
def test_every_type_decodes_near_the_checkpoints_weights(run, checkpoint, tmp_path, name):
    folder, model = checkpoint
    path = tmp_path / "out.gguf"
    run("convert", "quantize", "--type", name, "--output-type", name, str(folder), str(path))
    ours = decoded(path)
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    heads = {"attn_q": model.config.num_attention_heads, "attn_k": model.config.num_key_value_heads}
    step = 2.0 / (2 ** int(name[1]) - 2)
    for ours_name, theirs in (("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"),
                              ("attn_v", "self_attn.v_proj"), ("ffn_down", "mlp.down_proj")):
        expected = state[f"model.layers.1.{theirs}.weight"]
        if ours_name in heads:
            rows, columns = expected.shape
            expected = expected.reshape(heads[ours_name], 2, -1, columns).swapaxes(1, 2).reshape(rows, columns)
        error = np.square((ours[f"blk.1.{ours_name}.weight"] - expected).reshape(-1, 32)).mean()
        # On average no worse than uniform rounding with a step that spans each 32 numbers.
        spans = np.abs(expected.reshape(-1, 32)).max(-1, keepdims=True) * step
        assert 0.0 < error <= np.square(spans).mean() / 12.0, ours_name


def test_calibration_works_from_a_folder(run, checkpoint, converted, tmp_path):
    calibration, text = REPOSITORY / "docs/performance.md", REPOSITORY / "README.md"
    divergences = []
    for flags in ([], ["--calibrate", str(calibration), "--context", "128"]):
        out = tmp_path / "out.gguf"
        run("convert", "quantize", "--type", "Q4_0", "--force", *flags, str(checkpoint[0]), str(out))
        found = run("score", "--model", str(out), "--compare", str(converted), "--file", str(text), "--context", "128")
        divergences.append(found["kl_mean"])
    assert divergences[1] < divergences[0]


def test_shards_give_the_same_file(run, checkpoint, converted, tmp_path):
    folder = tmp_path / checkpoint[0].name
    tiny_checkpoint.make(folder, shard_size="1MB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    out = tmp_path / "out.gguf"
    run("convert", "quantize", "--type", "F32", str(folder), str(out))
    assert out.read_bytes() == converted.read_bytes()


def test_bfloat16_weights_are_kept_as_they_are(run, tmp_path):
    model = tiny_checkpoint.make(tmp_path / "tiny", dtype="bfloat16")
    out = tmp_path / "out.gguf"
    run("convert", "quantize", "--type", "F32", str(tmp_path / "tiny"), str(out))
    ours = decoded(out)
    for ours_name, theirs in (("token_embd", "model.embed_tokens"), ("blk.0.ffn_up", "model.layers.0.mlp.up_proj"),
                              ("output_norm", "model.norm")):
        assert np.array_equal(ours[f"{ours_name}.weight"], model.state_dict()[f"{theirs}.weight"].float().numpy())


def test_llama_cpp_gives_the_distributions_of_transformers(run, converted, checkpoint, tmp_path):
    sys.path.insert(0, str(REPOSITORY / "bench"))
    import peer_llama_cpp

    if not (peer_llama_cpp.BUILD / "peers/llama.cpp-build/bin/llama-perplexity").exists():
        pytest.skip("llama.cpp is not built: bench/peer_llama_cpp.py does that")
    import quality

    window = 128
    text = REPOSITORY.joinpath("README.md").read_text(encoding="utf-8")
    tokens = run("tokenize", "--model", str(converted), "--text", text)["token_ids"]
    windows = [tokens[window * i:window * (i + 1)] for i in range(4)]
    base = quality.PeerBase(tmp_path / "base", windows, checkpoint[1].config.vocab_size)
    spread = []
    for each in windows:
        logits = logits_of(checkpoint[1], each)[window // 2:-1]
        spread.append(np.square(log_softmax(logits) - log_softmax(logits).mean(-1, keepdims=True)).mean())
        base.add(logits)
    found = base.divergence(converted, threads=1)
    print(found)
    # Keys and values in half precision move logits by about 2^-11 of their spread; KL grows with the square.
    assert found["kl_mean"] < 4 * np.mean(spread) * 2.0 ** -22 + 1e-6
    assert found["top_agreement"] > 0.98


@pytest.mark.parametrize("broken, words", [
    ("tokenizer.json", ["tokenizer.json", "no tokenizer"]),
    ("config.json", ["config.json"]),
    ("model.safetensors", ["model.safetensors"]),
])
def test_a_missing_file_gets_one_line(checkpoint, shared_home, program, tmp_path, broken, words):
    del program
    folder = tmp_path / "tiny"
    folder.mkdir()
    for path in checkpoint[0].iterdir():
        if path.name != broken:
            (folder / path.name).symlink_to(path)
    result = conclave_process.run_program(shared_home, "convert", "quantize", str(folder), str(tmp_path / "out.gguf"))
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert all(word in result.stderr for word in words), result.stderr
    assert not (tmp_path / "out.gguf").exists()
