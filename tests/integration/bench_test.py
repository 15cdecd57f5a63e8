"""Every bench prints one object whose figure stands beside the machine's own limit."""

import json

import pytest

BENCHES = {
    "machine": ({"read_bandwidth", "int8", "bf16", "fp32", "weight_stream"}, []),
    "decode": ({"weight_stream_passes_per_s", "share_of_read_bandwidth"}, ["--tokens", "4"]),
    "prefill": ({"int8_operations_per_s", "step_tokens"}, ["--tokens", "40"]),
    "batch": ({"prompt_tokens_per_s", "decode_tokens_per_s"},
              ["--streams", "2", "--prompt-tokens", "8", "--tokens", "3"]),
}


@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_reports_its_figure_beside_its_limit(conclave, name):
    details, options = BENCHES[name]
    result = conclave("bench", name, "--json", "--repeats", "1", *options)
    assert result.returncode == 0, result.stderr
    figure = json.loads(result.stdout)
    assert set(figure) == {"name", "value", "unit", "limit", "share_of_limit", "details"}
    assert figure["name"] == name and figure["unit"] == "tokens/s"
    assert figure["value"] > 0 and figure["limit"] > 0
    assert figure["share_of_limit"] == pytest.approx(figure["value"] / figure["limit"])
    assert details <= set(figure["details"])
