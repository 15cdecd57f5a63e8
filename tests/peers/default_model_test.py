"""The default model's numbers against float32 `transformers` on the same weights, dequantised.

The text is Perl's frequently asked questions, which every Debian machine with Perl carries.
"""

from pathlib import Path

import numpy as np
import pytest

from support.distributions import log_softmax

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

WINDOW = 512
WINDOWS = 4
LOGITS_WINDOWS = 2
# What issue and README promise, and what rounding activations to 8 bits costs here with room to spare.
MOST_PERPLEXITY_RATIO = 1.004
MOST_MEAN_KL = 0.004
MOST_MEAN_KL_INT8 = 0.006
GREEDY_TOKENS = 16
PROMPTS = [
    "What is the capital of France?", "Write a short poem about the sea.", "Explain photosynthesis to a child.",
    "What is 12 times 12?", "List three uses of a paperclip.", "Who wrote Hamlet?", "Translate 'good morning' to French.",
    "Why is the sky blue?", "Give me a recipe for pancakes.", "What is a prime number?", "Name the planets in order.",
    "Write a Python function that reverses a string.", "What causes tides?", "Summarise the plot of Cinderella.",
    "How do I boil an egg?", "What is the largest ocean?", "Describe a rainbow.", "What does HTTP stand for?",
    "Write a haiku about snow.", "How far away is the moon?",
]


@pytest.fixture(scope="module")
def reference(model_path):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        str(model_path.parent), gguf_file=model_path.name, dtype=torch.float32)
    return model.eval()


def reference_logits(reference, tokens) -> np.ndarray:
    with torch.no_grad():
        return reference(torch.tensor([tokens])).logits[0].numpy()


def our_logits(run, folder, tokens, *flags) -> np.ndarray:
    out = folder / "logits.npy"
    run("score", "--token-ids", ",".join(map(str, tokens)), "--logits-out", str(out), *flags)
    return np.load(out)


@pytest.fixture(scope="module")
def text_tokens(run, tmp_path_factory):
    """(file, its tokens): WINDOWS windows of prose and code, and a little more."""
    found = sorted(Path("/usr/share/perl").glob("5*/pod/perlfaq4.pod"))
    if not found:
        pytest.skip("Perl's frequently asked questions are not installed")
    text = found[0].read_text(encoding="utf-8")[:4 * WINDOW * WINDOWS]
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text(text, encoding="utf-8")
    tokens = run("tokenize", "--file", str(file))["token_ids"]
    assert len(tokens) >= WINDOW * WINDOWS
    return file, tokens


@pytest.fixture(scope="module")
def both_logits(run, reference, text_tokens, tmp_path_factory):
    """(ours, the reference's) [LOGITS_WINDOWS * WINDOW, vocabulary]."""
    _, tokens = text_tokens
    folder = tmp_path_factory.mktemp("logits")
    windows = [tokens[WINDOW * i:WINDOW * (i + 1)] for i in range(LOGITS_WINDOWS)]
    return (np.concatenate([our_logits(run, folder, window) for window in windows]),
            np.concatenate([reference_logits(reference, window) for window in windows]))


@pytest.fixture(scope="module")
def gap_error(both_logits) -> float:
    """How far our difference of the reference's two best logits is off at most: what may turn a greedy choice."""
    ours, theirs = both_logits
    rows = np.arange(len(theirs))
    second, first = np.argpartition(theirs, -2, axis=-1)[:, -2:].T
    return float(np.abs((ours[rows, first] - ours[rows, second]) - (theirs[rows, first] - theirs[rows, second])).max())


def test_perplexity_is_that_of_float32(run, reference, text_tokens):
    file, tokens = text_tokens
    scored = run("score", "--file", str(file), "--context", str(WINDOW))
    losses = []
    for start in range(0, len(tokens) - WINDOW + 1, WINDOW):
        window = np.array(tokens[start:start + WINDOW])
        rows = log_softmax(reference_logits(reference, window.tolist())[WINDOW // 2:-1])
        losses.append(-rows[np.arange(len(rows)), window[WINDOW // 2 + 1:]])
    expected = float(np.exp(np.concatenate(losses).mean()))
    print(f"perplexity {scored['perplexity']:.4f}, float32 {expected:.4f}: {scored['perplexity'] / expected - 1:+.3%} "
          f"over {scored['tokens']} tokens")
    assert scored["tokens"] == sum(map(len, losses))
    assert expected / MOST_PERPLEXITY_RATIO < scored["perplexity"] < expected * MOST_PERPLEXITY_RATIO


def test_distributions_are_close_to_those_of_float32(both_logits, gap_error):
    ours, theirs = map(log_softmax, both_logits)
    divergence = (np.exp(theirs) * (theirs - ours)).sum(axis=-1)
    largest = float(np.abs(both_logits[0] - both_logits[1]).max())
    agreement = float((ours.argmax(-1) == theirs.argmax(-1)).mean())
    print(f"KL divergence: mean {divergence.mean():.5f}, largest {divergence.max():.4f} nats; largest logit difference "
          f"{largest:.3f}; the two best are off by {gap_error:.3f} at most; the same best token at {agreement:.2%}")
    assert divergence.mean() < MOST_MEAN_KL


def test_distributions_with_8_bit_keys_and_values_are_close_to_those_of_float32(run, both_logits, text_tokens, tmp_path):
    _, tokens = text_tokens
    ours = log_softmax(np.concatenate([our_logits(run, tmp_path, tokens[WINDOW * i:WINDOW * (i + 1)], "--kv-type", "int8")
                                       for i in range(LOGITS_WINDOWS)]))
    theirs = log_softmax(both_logits[1])
    divergence = (np.exp(theirs) * (theirs - ours)).sum(axis=-1)
    agreement = float((ours.argmax(-1) == theirs.argmax(-1)).mean())
    print(f"KL divergence: mean {divergence.mean():.5f}, largest {divergence.max():.4f} nats; "
          f"the same best token at {agreement:.2%}")
    assert not np.array_equal(ours, log_softmax(both_logits[0])), "the keys and values were not in 8 bits"
    assert divergence.mean() < MOST_MEAN_KL_INT8


def test_greedy_answers_are_those_of_float32(run, reference, gap_error):
    """Each token, given ours before it, is the reference's best, unless its best two are within the measured error."""
    compared = close = 0
    for prompt in PROMPTS:
        answer = run("generate", "--prompt", prompt, "--max-tokens", str(GREEDY_TOKENS), "--temperature", "0")
        tokens = answer["prompt_token_ids"] + answer["token_ids"]
        logits = reference_logits(reference, tokens)[len(answer["prompt_token_ids"]) - 1:]
        for token, row in zip(answer["token_ids"], logits, strict=False):
            best = int(row.argmax())
            compared += 1
            if token != best:
                close += 1
                assert row[best] - row[token] <= gap_error, (prompt, token, best, float(row[best] - row[token]))
    print(f"{compared} tokens of {len(PROMPTS)} answers; {close} differ, each where the two best are within {gap_error:.3f}")
    assert compared > len(PROMPTS) * GREEDY_TOKENS // 2
    assert close < compared // 20, "too many ties to call the answers the same"
