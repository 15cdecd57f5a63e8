"""Keys and values in 8 bits: half the memory, a server that says what it cannot do."""

import json

import pytest


def answer_of(conclave, *flags) -> dict:
    result = conclave("generate", "--prompt", "What is the capital of France?", "--temperature", "0", "--max-tokens", "12",
                      "--json", *flags)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_an_answer_is_found_with_8_bits_too(conclave):
    answer = answer_of(conclave, "--kv-type", "int8")
    assert "Paris" in answer["text"]
    assert answer_of(conclave, "--kv-type", "int8")["token_ids"] == answer["token_ids"]


@pytest.mark.parametrize("kv_type, bytes_of_a_head", [("bf16", 128), ("int8", 68)])
def test_a_token_takes_the_memory_of_its_type(conclave, kv_type, bytes_of_a_head):
    result = conclave("bench", "batch", "--json", "--repeats", "1", "--streams", "2", "--prompt-tokens", "8",
                      "--tokens", "3", "--kv-type", kv_type)
    assert result.returncode == 0, result.stderr
    details = json.loads(result.stdout)["details"]
    assert details["kv_type"] == kv_type
    layers, kv_heads = 30, 3
    assert details["kv_bytes_per_token"] == layers * 2 * kv_heads * bytes_of_a_head


def test_a_type_that_does_not_exist_is_refused(conclave):
    result = conclave("generate", "--prompt", "Hello", "--kv-type", "fp4")
    assert result.returncode == 2
    assert "fp4" in result.stderr and "int8" in result.stderr
