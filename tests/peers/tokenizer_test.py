"""The tokenizer against Hugging Face's `tokenizers` and llama.cpp's reference pairs: exact equality.

Needs CONCLAVE_TEST_MODEL (a .gguf) and CONCLAVE_TEST_LLAMA_CPP (its source folder).
"""

import itertools
import json
import os
import pathlib
import random
import struct
import subprocess
import sysconfig
import threading
import unicodedata

import pytest

gguf = pytest.importorskip("gguf")
tokenizers = pytest.importorskip("tokenizers")
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers  # noqa: E402

from support import probes  # noqa: E402

MODEL = os.environ.get("CONCLAVE_TEST_MODEL")
LLAMA_CPP = os.environ.get("CONCLAVE_TEST_LLAMA_CPP")
needs_model = pytest.mark.skipif(not MODEL, reason="CONCLAVE_TEST_MODEL is not set")
needs_llama_cpp = pytest.mark.skipif(not LLAMA_CPP, reason="CONCLAVE_TEST_LLAMA_CPP is not set")

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACES
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
QWEN35 = CONTRACTIONS + r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + SPACES


class Probe:
    """A running tokenizer_probe."""

    def __init__(self, model):
        self.process = subprocess.Popen(
            [str(probes.find("tokenizer")), str(model)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        error = self.process.stderr.read().decode()
        assert self.process.wait(60) == 0, error

    def ask(self, what, payloads):
        """Raw answers, in order; a thread writes so that neither pipe can fill up and block."""

        def write():
            for payload in payloads:
                self.process.stdin.write(what + struct.pack("<I", len(payload)) + payload)
            self.process.stdin.flush()

        writer = threading.Thread(target=write)
        writer.start()
        answers = []
        for _ in payloads:
            header = self.process.stdout.read(5)
            assert len(header) == 5, "the probe ended: " + self.process.stderr.read().decode()
            body = self.process.stdout.read(struct.unpack("<I", header[1:])[0])
            assert header[:1] == b"o", body.decode()
            answers.append(body)
        writer.join()
        return answers

    def encode(self, texts, what=b"e"):
        answers = self.ask(what, [text.encode() for text in texts])
        return [list(struct.unpack(f"<{len(a) // 4}i", a)) for a in answers]

    def decode(self, ids, what=b"d"):
        return [a.decode() for a in self.ask(what, [struct.pack(f"<{len(i)}i", *i) for i in ids])]


def fields_of(path):
    reader = gguf.GGUFReader(str(path))
    names = ("tokens", "merges", "token_type", "pre")
    return {n: reader.fields["tokenizer.ggml." + n].contents() for n in names}


def split(pattern, behavior="isolated"):
    return pre_tokenizers.Split(Regex(pattern), behavior)


def reference_pre_tokenizer(pre):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    bare = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if pre in ("smollm", "starcoder", "refact", "command-r"):
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    if pre in ("gpt-2", "mpt"):
        return byte_level
    if pre in ("llama-bpe", "qwen2", "qwen35"):
        pattern = {"llama-bpe": LLAMA3, "qwen2": QWEN2, "qwen35": QWEN35}[pre]
        return pre_tokenizers.Sequence([split(pattern), bare])
    if pre == "deepseek-coder":
        patterns = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"]
        digits = pre_tokenizers.Digits(individual_digits=True)
        return pre_tokenizers.Sequence([*map(split, patterns), digits, bare])
    return None


def reference(path):
    """The same vocabulary in `tokenizers`."""
    fields = fields_of(path)
    vocabulary = {token: i for i, token in enumerate(fields["tokens"])}
    merges = [tuple(merge.split(" ")) for merge in fields["merges"]]
    ignore_merges = fields["pre"] == "llama-bpe"
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = reference_pre_tokenizer(fields["pre"])
    if fields["pre"] in ("qwen2", "mpt", "command-r"):
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, fields


def add_special_tokens(tokenizer, fields):
    added = [t for t, kind in zip(fields["tokens"], fields["token_type"]) if kind in (2, 3)]
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in added])


def random_characters(rng, length):
    """Any character of Unicode, the plain ones more often."""
    planes = [(0, 0x80), (0, 0x250), (0x250, 0x3000), (0x3000, 0xD800), (0xE000, 0x10000), (0x10000, 0x110000)]
    return "".join(chr(rng.randrange(*rng.choice(planes))) for _ in range(length))


def script_words(rng, count):
    ranges = [(0x61, 0x7B), (0xC0, 0x250), (0x370, 0x400), (0x400, 0x530), (0x531, 0x557), (0x5D0, 0x5EB),
              (0x620, 0x64B), (0x904, 0x940), (0x985, 0x9B9), (0xE01, 0xE3A), (0x10A0, 0x10FF), (0x1100, 0x1200),
              (0x1E00, 0x1F00), (0x3041, 0x3097), (0x30A1, 0x30FB), (0x4E00, 0x9FA5), (0xAC00, 0xD7A4),
              (0x10400, 0x10450), (0x1D400, 0x1D7FF), (0x20000, 0x2A6DF), (0x300, 0x370), (0x660, 0x66A),
              (0x2150, 0x218C), (0xFF10, 0xFF1A)]  # fmt: skip
    words = []
    for _ in range(count):
        low, high = rng.choice(ranges)
        words.append("".join(chr(rng.randrange(low, high)) for _ in range(rng.randrange(1, 12))))
    return rng.choice([" ", "  ", "\u3000", ", ", "\n", " 'S "]).join(words)


def emoji(rng, count):
    people = "👩👨🧑👶👵🧔"
    joined = ["👩‍👩‍👧‍👦", "🏳️‍🌈", "👨🏽‍🚀", "🇩🇪🇫🇷", "1️⃣", "☎️", "🧑🏿‍🤝‍🧑🏻", "❤️‍🔥"]
    parts = [rng.choice([rng.choice(people), rng.choice(joined), "\u200d", "\ufe0f", " ", "🏽", "x"]) for _ in range(count)]
    return "".join(parts)


def fragments(rng, count):
    """What the splitters' rules turn on, in random order."""
    atoms = ["'s", "'S", "'T", "'re", "'RE", "'Ve", "'m", "'ll", "'lL", "'d", "'ſ", "'", "''", "don't", "I'LL", " ", "  ", "   ",
             "\t", "\n", "\r\n", "\r", "\n\n", " \n", "\n ", "\u00a0", "\u2003", "\u3000", "\u0085", "\u200b", "\x1c", "\x00",
             "1", "12", "123", "1234", "٣", "½", "Ⅷ", "²", "\U00011de0", "\U00016ff4", "a", "Z", "é", "e\u0301", "\u0301",
             "ß", "日本", "語", "!", "?!", "...", "$", "€", "_", "-", "=>", "//", "#", "\u00ad", "\ufffd", "\U0010ffff",
             "\U0001e900", "\ua7f1", "<|im_start", "|>", "word", "Word", " the"]  # fmt: skip
    return "".join(rng.choice(atoms) for _ in range(count))


def source_code(limit_bytes):
    texts, size = [], 0
    for path in sorted(pathlib.Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if "site-packages" in path.parts or size > limit_bytes:
            continue
        text = path.read_bytes().decode(errors="replace")
        texts.append(text)
        size += len(text)
    return texts


def mixed_texts(seed, megabytes):
    """At least so much text: half of it code, the rest generated."""
    rng = random.Random(seed)
    texts = ["", " ", "\n", "a" * 5000, " " * 3000, "\n" * 1000, "é" * 3000, "ab" * 5000, "1" * 2000, "\u0301" * 500]
    texts += source_code(int(megabytes * 500_000))
    size = sum(len(text.encode()) for text in texts)
    makers = [random_characters, script_words, emoji, fragments]
    for maker in itertools.cycle(makers):
        texts.append(maker(rng, rng.randrange(1, 2000)))
        texts.append(bytes(rng.randrange(256) for _ in range(rng.randrange(200))).decode(errors="replace"))
        texts.append(bytes(rng.randrange(256) for _ in range(rng.randrange(200))).decode("latin-1"))
        size += sum(len(text.encode()) for text in texts[-3:])
        if size > megabytes * 1_000_000:
            return texts


def assert_equal(texts, ours, theirs):
    for text, our_ids, their_ids in zip(texts, ours, theirs, strict=True):
        if our_ids == their_ids:
            continue
        at = next((i for i, (a, b) in enumerate(zip(our_ids, their_ids)) if a != b), min(len(our_ids), len(their_ids)))
        pytest.fail(f"token {at}: ours {our_ids[at - 2 : at + 4]}, theirs {their_ids[at - 2 : at + 4]} in {text[:200]!r}")


def missing_characters(tokenizer, fields):
    """Characters that hold a byte without a token: the reference drops them, so they cannot come back."""
    spelled = set(fields["tokens"])
    alphabet = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return lambda text: any(c not in spelled for piece, _ in alphabet.pre_tokenize_str(text) for c in piece)


@needs_model
def test_equals_tokenizers_on_mixed_text():
    tokenizer, fields = reference(MODEL)
    texts = mixed_texts(seed=3, megabytes=5.5)
    assert sum(len(text.encode()) for text in texts) >= 5_000_000
    with Probe(MODEL) as probe:
        ours = probe.encode(texts)
        assert_equal(texts, ours, [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)])
        is_lossy = missing_characters(tokenizer, fields)
        decoded = probe.decode(ours, b"k")
    kept = [(text, back) for text, back in zip(texts, decoded) if not is_lossy(text)]
    assert len(kept) > 200
    assert all(text == back for text, back in kept)


@needs_model
def test_every_character_alone_and_between_letters():
    tokenizer, _ = reference(MODEL)
    characters = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    texts = ["".join(f" a{c}b {c}{c} 1" for c in characters[i : i + 256]) for i in range(0, len(characters), 256)]
    with Probe(MODEL) as probe:
        assert_equal(texts, probe.encode(texts), [e.ids for e in tokenizer.encode_batch(texts)])


@needs_model
def test_special_tokens_are_parsed_only_when_asked():
    tokenizer, fields = reference(MODEL)
    rng = random.Random(5)
    specials = [t for t, kind in zip(fields["tokens"], fields["token_type"]) if kind == 3]
    pieces = specials + [s[:-1] for s in specials] + [s[1:] for s in specials] + ["<", "|", ">", " ", "word", "\n", "é"]
    texts = ["".join(rng.choice(pieces) for _ in range(rng.randrange(40))) for _ in range(2000)]
    plain = [e.ids for e in tokenizer.encode_batch(texts)]
    add_special_tokens(tokenizer, fields)
    parsed = [e.ids for e in tokenizer.encode_batch(texts)]
    with Probe(MODEL) as probe:
        assert_equal(texts, probe.encode(texts), plain)
        assert_equal(texts, probe.encode(texts, b"s"), parsed)
        kept = [tokenizer.decode(ids, skip_special_tokens=False) for ids in parsed]
        bare = [tokenizer.decode(ids, skip_special_tokens=True) for ids in parsed]
        assert probe.decode(parsed, b"k") == kept
        assert probe.decode(parsed, b"d") == bare


@needs_model
def test_random_ids_decode_as_the_reference_does():
    tokenizer, fields = reference(MODEL)
    rng = random.Random(6)
    sequences = [[rng.randrange(len(fields["tokens"])) for _ in range(rng.randrange(50))] for _ in range(2000)]
    byte_like = [i for i, t in enumerate(fields["tokens"]) if len(t) == 1]
    sequences += [[rng.choice(byte_like) for _ in range(rng.randrange(30))] for _ in range(3000)]
    with Probe(MODEL) as probe:
        assert probe.decode(sequences, b"k") == [tokenizer.decode(s, skip_special_tokens=False) for s in sequences]


PAIRS = ["gpt-2", "mpt", "llama-bpe", "qwen2", "qwen35", "starcoder", "refact", "command-r", "deepseek-llm",
         "deepseek-coder", "falcon"]  # fmt: skip


def vocabulary_file(name):
    path = pathlib.Path(LLAMA_CPP) / f"vendor/llama.cpp/models/ggml-vocab-{name}.gguf"
    if not path.exists():
        pytest.fail(f"{path} does not exist")
    return path


@needs_llama_cpp
@pytest.mark.parametrize("name", PAIRS)
def test_equals_llama_cpp_pairs(name):
    path = vocabulary_file(name)
    texts = pathlib.Path(f"{path}.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    lines = pathlib.Path(f"{path}.out").read_text().splitlines()
    expected = [[int(i) for i in line.split()] for line in lines]
    assert len(expected) > 30
    with Probe(path) as probe:
        assert_equal(texts[: len(expected)], probe.encode(texts, b"s")[: len(expected)], expected)


@needs_llama_cpp
@pytest.mark.parametrize("name", ["gpt-2", "llama-bpe", "qwen2", "qwen35", "starcoder", "deepseek-coder"])
def test_families_equal_tokenizers_on_mixed_text(name):
    path = vocabulary_file(name)
    tokenizer, _ = reference(path)
    texts = mixed_texts(seed=7, megabytes=1.5)
    if tokenizer.normalizer is not None:
        # Two libraries of different Unicode versions normalise here; newer characters are not the point.
        texts = ["".join(c for c in text if unicodedata.category(c) != "Cn") for text in texts]
    with Probe(path) as probe:
        assert_equal(texts, probe.encode(texts), [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)])


@needs_model
def test_tokenizer_json_equals_its_gguf(tmp_path):
    tokenizer, fields = reference(MODEL)
    add_special_tokens(tokenizer, fields)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>"}))
    texts = mixed_texts(seed=8, megabytes=0.5) + ["<|im_start|>user\nHi<|im_end|>\n"]
    with Probe(MODEL) as ours, Probe(tmp_path) as folder:
        assert_equal(texts, folder.encode(texts, b"s"), ours.encode(texts, b"s"))


@needs_llama_cpp
@pytest.mark.parametrize("name", ["gpt-2", "llama-bpe", "qwen2"])
def test_tokenizer_json_of_other_families(name, tmp_path):
    path = vocabulary_file(name)
    tokenizer, fields = reference(path)
    add_special_tokens(tokenizer, fields)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    texts = [fragments(random.Random(i), 200) for i in range(200)]
    with Probe(tmp_path) as probe:
        assert_equal(texts, probe.encode(texts, b"s"), [e.ids for e in tokenizer.encode_batch(texts)])
