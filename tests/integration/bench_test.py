"""Every bench prints one object whose figure stands beside the machine's own limit."""

import json
import re

import pytest
import yaml

from support.process_memory import is_measurable

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


def test_a_bench_shows_people_what_it_measured(conclave):
    result = conclave("bench", "machine", "--repeats", "1")
    assert result.returncode == 0, result.stderr
    first, *lines = result.stdout.splitlines()
    assert re.fullmatch(r"machine: [\d.]{1,6} tokens/s, [\d.]{1,6}% of the [\d.]{1,6} that this machine allows", first)
    for start in ("  read bandwidth: ", "  int8: ", "  bf16: ", "  fp32: ", "  weight stream: "):
        assert any(line.startswith(start) for line in lines), result.stdout


def figure_of(conclave, *arguments):
    result = conclave("bench", *arguments, "--json", "--repeats", "1")
    assert result.returncode == 0, result.stderr
    figure = json.loads(result.stdout)
    assert set(figure) == {"name", "value", "unit", "limit", "share_of_limit", "details"}
    return figure


def test_pipeline_measures_the_bare_engine_and_both_kinds_of_services(conclave):
    figure = figure_of(conclave, "pipeline", "--streams", "1", "3", "--prompt-tokens", "8", "--tokens", "4")
    assert figure["limit"] == 1.0 and figure["value"] > 0
    rows = figure["details"]["streams"]
    assert [row["streams"] for row in rows] == [1, 3]
    for row in rows:
        assert row["bare_engine"]["share_of_bare_engine"] == 1.0
        for side in ("bare_engine", "in_process", "separate_processes"):
            assert row[side]["tokens_per_s"] > 0 and row[side]["first_token_ms"] > 0


def test_experts_measures_the_exchange_beside_a_bare_echo_and_shards_beside_one_process(conclave):
    figure = figure_of(conclave, "experts", "--streams", "2", "--tokens", "3", "--round-trips", "40")
    assert figure["limit"] == 1.0 and figure["value"] > 0
    trip = figure["details"]["round_trip"]
    for way in ("memory", "unix", "tcp", "echo_unix", "echo_tcp", "echo_unix_callbacks", "echo_tcp_callbacks"):
        assert trip[f"{way}_p50_us"] > 0
    assert trip["memory_of_unix_echo"] < trip["unix_of_echo"]
    throughput = figure["details"]["throughput"]
    assert throughput["one_process"]["share_of_one_process"] == 1.0
    for side in ("memory", "streams"):
        assert throughput[side]["decode_tokens_per_s"] > 0 and throughput[side]["share_of_one_process"] > 0


def test_load_reports_what_clients_wait_for(conclave):
    figure = figure_of(conclave, "load", "--streams", "3", "--rounds", "2", "--prompt-tokens", "8", "--tokens", "4")
    assert figure["unit"] == "tokens/s" and figure["value"] > 0 and figure["limit"] is None
    details = figure["details"]
    assert 0 < details["first_token_p50_ms"] <= details["first_token_p99_ms"]
    assert 0 < details["between_tokens_p50_ms"] <= details["between_tokens_p99_ms"]


def test_load_beside_a_long_prompt_compares_the_time_between_tokens(conclave):
    figure = figure_of(conclave, "load", "--streams", "2", "--tokens", "8", "--beside", "300")
    details = figure["details"]
    assert figure["value"] > 0 and details["long_prompt_tokens"] == 300
    assert 0 < details["idle_p50_ms"] <= details["idle_p99_ms"]
    assert 0 < details["beside_p50_ms"] <= details["beside_p99_ms"]


def test_load_from_a_server_that_is_not_there_says_so(conclave):
    result = conclave("bench", "load", "--connect", "127.0.0.1:1")
    assert result.returncode == 1 and "no server can be reached" in result.stderr


def test_start_names_the_phases_and_what_is_resident(conclave):
    figure = figure_of(conclave, "start")
    details = figure["details"]
    assert figure["unit"] == "ms" and figure["value"] > 0 and details["all"] == [figure["value"]]
    names = [phase["name"] for phase in details["phases"]]
    for part in ("configuration", "hash", "tokenizer", "experts' weights", "decoder's weights", "state's store",
                 "retriever's store", "feedback's store", "listening"):
        assert any(part in name for name in names), (part, names)
    assert all(phase["ms"] >= 0 and phase["from_ms"] + phase["ms"] <= figure["value"] for phase in details["phases"])
    assert details["resident_bytes"] > details["anonymous_bytes"] > 0


SOAK_KV_BYTES = 64 << 20
# Beyond keys and values: the buffers of a step of 512 tokens, three stores' memory for writes (16 MB each), what the
# allocator keeps for each thread.
SOAK_SLACK_BYTES = 160 << 20
# A row of logits (49,152 numbers of four bytes): to lose one for each request would show. The stores' memory for
# writes, which fills over more requests than these, makes 60 to 115 KB of it.
SOAK_BYTES_A_REQUEST = 192 << 10


@pytest.mark.slow
def test_a_short_soak_stays_within_its_memory(conclave, home):
    config = home.path / "small.yaml"
    # The buffer for writes of the prefixes on disk fills and empties by more than 200 requests may grow.
    config.write_text(yaml.safe_dump({"limits": {"kv_bytes": SOAK_KV_BYTES, "prefix_disk_bytes": 0}}))
    result = conclave("bench", "soak", "--json", "--requests", "400", "--streams", "8", "--config", str(config))
    assert result.returncode == 0, result.stderr
    figure = json.loads(result.stdout)
    details = figure["details"]
    assert figure["value"] > 0 and len(details["samples"]) == 101
    assert details["answered"] + details["cancelled"] + details["refused"] == 400
    assert min(details["answered"], details["cancelled"], details["refused"]) > 0
    if not is_measurable():
        return
    start, highest = details["start"]["resident_bytes"], details["highest"]["resident_bytes"]
    assert highest <= start + SOAK_KV_BYTES + SOAK_SLACK_BYTES, details["highest"]
    assert details["resident_bytes_a_request"] <= SOAK_BYTES_A_REQUEST, details["resident_bytes_a_request"]
