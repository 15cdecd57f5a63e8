"""Beam search beside `transformers` on a small random float32 checkpoint: the same answers with the same scores."""

import pytest

from support import tiny_checkpoint

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

MAX_TOKENS = 40
EARLY_STOPPING = {"heuristic": False, "full": True, "never": "never"}
# (beams, answers, length penalty, early stopping, repetition penalty)
SEARCHES = [(4, 4, 0.0, "heuristic", 1.0), (4, 2, 1.0, "heuristic", 1.0), (4, 4, 2.0, "heuristic", 1.0),
            (4, 4, 1.0, "full", 1.0), (4, 4, 2.0, "full", 1.0), (4, 3, 1.0, "never", 1.0), (4, 4, -1.0, "never", 1.0),
            (1, 1, 1.0, "full", 1.0), (9, 9, 0.5, "heuristic", 1.0), (4, 4, 1.0, "heuristic", 1.3),
            (3, 3, 2.0, "never", 0.8)]
# Logits differ by less than this here (fidelity_test.py), a log-probability by no more than twice that.
LOGIT_TOLERANCE = 1e-5
FLOAT32_STEP = 2.0**-24


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Its folder, and its model; the end token is likely often enough for answers of many lengths."""
    folder = tmp_path_factory.mktemp("checkpoint")
    model = tiny_checkpoint.make(folder, tie_word_embeddings=False, vocab_size=600)
    with torch.no_grad():
        model.lm_head.weight[model.config.eos_token_id] *= 4.0
    model.save_pretrained(folder)
    return folder, model


def prompts() -> list[list[int]]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randint(2, 600, (length,), generator=generator).tolist() for length in (3, 32, 61)]


def theirs(model, prompt, beams, answers, length_penalty, early_stopping, repetition_penalty):
    """[(tokens, score)] of `transformers`, best first."""
    end = model.config.eos_token_id
    made = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                          num_beams=beams, num_return_sequences=answers, length_penalty=length_penalty,
                          early_stopping=EARLY_STOPPING[early_stopping], repetition_penalty=repetition_penalty,
                          max_new_tokens=MAX_TOKENS, do_sample=False, eos_token_id=end, pad_token_id=0,
                          return_dict_in_generate=True, output_scores=True)
    if beams == 1:  # Which is greedy there, without a score.
        log_probs = [float(torch.log_softmax(scores[0], -1).max()) for scores in made.scores]
        return [(made.sequences[0, len(prompt):].tolist(), sum(log_probs) / len(log_probs)**length_penalty)]
    found = []
    for tokens, score in zip(made.sequences[:, len(prompt):].tolist(), made.sequences_scores.tolist()):
        found.append((tokens[:tokens.index(end) + 1] if end in tokens else tokens, score))
    return found


def tolerance(length: int, score: float, length_penalty: float) -> float:
    """Of a score: one log-probability a token, and float32 sums that round at each of them."""
    total = abs(score) * length**length_penalty
    return length * (2 * LOGIT_TOLERANCE + total * FLOAT32_STEP) / length**length_penalty


def test_searches_find_what_transformers_finds(checkpoint, run):
    folder, model = checkpoint
    lengths = set()
    for beams, answers, length_penalty, early_stopping, repetition_penalty in SEARCHES:
        for prompt in prompts():
            ours = run("generate", "--model", str(folder), "--prompt-token-ids", ",".join(map(str, prompt)),
                       "--max-tokens", str(MAX_TOKENS), "--beams", str(beams), "--answers", str(answers),
                       "--length-penalty", str(length_penalty), "--early-stopping", early_stopping,
                       "--repetition-penalty", str(repetition_penalty), "--threads", "1")
            ours = ours["answers"] if answers > 1 else [ours]
            expected = theirs(model, prompt, beams, answers, length_penalty, early_stopping, repetition_penalty)
            case = (beams, length_penalty, early_stopping, repetition_penalty, len(prompt))
            assert [answer["token_ids"] for answer in ours] == [tokens for tokens, _ in expected], case
            for answer, (tokens, score) in zip(ours, expected):
                allowed = tolerance(len(tokens), score, length_penalty) * max(1.0, repetition_penalty)
                assert abs(answer["score"] - score) <= allowed, case
                assert answer["finish_reason"] == ("stop" if tokens[-1] == model.config.eos_token_id else "length")
                lengths.add(len(tokens))
    assert len(lengths) > 5 and MAX_TOKENS in lengths, "answers must end for both reasons and at many places"
