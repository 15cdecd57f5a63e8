"""Logits and greedy answers of the program beside those of a model of `transformers`."""

import numpy as np

from support import probes

TOKENS = 96
# Float32 sums in another order differ by about 1e-6 of logits of this size.
TOLERANCE = 5e-5


def reference(model, tokens: int = TOKENS) -> tuple[list[int], np.ndarray]:
    """Random tokens, and the model's logits [tokens, vocabulary] of all of them at once."""
    import torch

    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, model.config.vocab_size, (tokens,), generator=generator)
    with torch.no_grad():
        return ids.tolist(), model(ids[None]).logits[0].float().numpy()


def scored(run, model_path, tokens: list[int], folder, *options: str) -> np.ndarray:
    """The program's logits of all of them."""
    out = folder / "logits.npy"
    run("score", "--model", str(model_path), "--token-ids", ",".join(map(str, tokens)), "--logits-out", str(out),
        "--threads", "1", *options)
    return np.load(out)


def check(run, model_path, model, folder, tolerance: float = TOLERANCE, tokens: int = TOKENS) -> None:
    ids, expected = reference(model, tokens)
    worst = float(np.abs(scored(run, model_path, ids, folder) - expected).max())
    print(f"largest difference {worst:.2e} of logits up to {np.abs(expected).max():.2f}")
    assert np.abs(expected).max() > 0.5
    assert not worst >= tolerance


def stepped(model_path, tokens: list[int], prompt: int) -> np.ndarray:
    """The engine's logits of all of them: the first `prompt` in one step, the others one by one."""
    return probes.engine_floats("logits", model_path, prompt, *tokens).reshape(len(tokens), -1)


def check_engine(model_path, model, tolerance: float = TOLERANCE, tokens: int = TOKENS, prompt: int = 40) -> None:
    """A whole text at once, and one of which most tokens are decoded over cached keys and values."""
    ids, expected = reference(model, tokens)
    assert np.abs(expected).max() > 0.5
    for first in (tokens, prompt):
        worst = float(np.abs(stepped(model_path, ids, first) - expected).max())
        print(f"{first} of {tokens} at once: largest difference {worst:.2e} of logits up to {np.abs(expected).max():.2f}")
        assert not worst >= tolerance, first


def check_greedy(run, model_path, model, prompt: int = 40, answer: int = 24) -> None:
    """An answer that is decoded token by token over cached keys and values: each token must be the best one, or as
    good, by the logits that the model gives for the whole text at once."""
    import torch

    ids, _ = reference(model, prompt)
    found = run("generate", "--model", str(model_path), "--prompt-token-ids", ",".join(map(str, ids)), "--max-tokens",
                str(answer), "--temperature", "0")["token_ids"]
    assert len(found) > 1
    with torch.no_grad():
        logits = model(torch.tensor([ids + found])).logits[0].float().numpy()[prompt - 1:-1]
    chosen = logits[np.arange(len(found)), found]
    assert not (logits.max(-1) - chosen >= 2 * TOLERANCE).any(), found
