"""`convert` as a user meets it: one line a mistake, and never a half file under the final name."""

import json
import signal
import subprocess
import time

import pytest

from support.time_limits import scaled


@pytest.fixture
def quantize(conclave):
    return lambda *arguments: conclave("convert", "quantize", *map(str, arguments))


@pytest.fixture
def upcycle(conclave):
    return lambda *arguments: conclave("convert", "upcycle", *map(str, arguments))


def refused(result, *words: str) -> None:
    assert result.returncode == 1, result.stdout
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert all(word in result.stderr for word in words), result.stderr


def test_help_has_an_example(quantize):
    result = quantize("--help")
    assert result.returncode == 0
    assert "Example: conclave convert quantize" in result.stdout


def test_a_written_model_runs_and_is_near_its_source(quantize, conclave, model_path, tmp_path):
    out = tmp_path / "out.gguf"
    result = quantize("--type", "q8_0", "--requantize", "--json", model_path, out)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["type"], report["output_type"], report["calibration_tokens"]) == ("Q8_0", "Q8_0", 0)
    assert report["bytes"] == out.stat().st_size
    text = tmp_path / "text.txt"
    text.write_text("The sea was calm, and the old man rowed towards the island without a word. " * 20)
    found = conclave("score", "--model", str(out), "--compare", str(model_path), "--file", str(text),
                     "--context", "128", "--json")
    assert json.loads(found.stdout)["kl_mean"] < 0.01, found.stderr
    text.unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["out.gguf"]


def test_mistakes_get_one_line_and_leave_nothing(quantize, model_path, tmp_path):
    out = tmp_path / "out.gguf"
    refused(quantize("--type", "Q4_0", model_path, out), "quantised already", "--requantize")
    refused(quantize("--type", "Q3_K", "--requantize", model_path, out), "Q3_K", "Q4_K")
    refused(quantize("--type", "Q4_0", tmp_path / "none.gguf", out), "none.gguf")
    refused(quantize("--type", "Q4_0", "--requantize", model_path, tmp_path / "none/out.gguf"), "No such file")
    refused(quantize("--type", "Q4_0", "--requantize", "--calibrate", tmp_path / "none.txt", model_path, out),
            "none.txt")
    short = tmp_path / "short.txt"
    short.write_text("too short")
    refused(quantize("--type", "Q4_0", "--requantize", "--calibrate", short, model_path, out), "at least one window")
    short.unlink()
    assert list(tmp_path.iterdir()) == []


def test_files_are_replaced_only_when_asked_and_never_the_source(quantize, model_path, tmp_path):
    out = tmp_path / "out.gguf"
    out.write_bytes(b"precious")
    refused(quantize("--type", "Q4_0", "--requantize", model_path, out), "exists already", "--force")
    assert out.read_bytes() == b"precious"
    link = tmp_path / "link.gguf"
    link.symlink_to(model_path)
    refused(quantize("--type", "Q4_0", "--requantize", "--force", model_path, link), "is the model that is read")
    assert link.is_symlink()


def test_a_folder_that_cannot_be_converted_gets_one_line(quantize, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    out = tmp_path / "out.gguf"
    (folder / "config.json").write_text('{"model_type": "gemma3"}')
    refused(quantize(folder, out), "neither model.safetensors nor")
    header = b"{}" + b" " * 6
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    refused(quantize(folder, out), "'gemma3'")
    refused(quantize(folder / "model.safetensors", out), "give the folder", "tokenizer.json")
    assert not out.exists()


def test_calibration_that_needs_more_memory_than_allowed_is_refused(quantize, model_path, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("The sea was calm. " * 200)
    refused(quantize("--requantize", "--calibrate", text, "--calibration-memory-mib", "1", model_path,
                     tmp_path / "out.gguf"), "MiB of statistics", "--calibration-memory-mib")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_nothing(program, home, model_path, tmp_path, ending):
    out = tmp_path / "out.gguf"
    out.write_bytes(b"precious")
    process = subprocess.Popen(
        [str(program), "convert", "quantize", "--type", "Q4_K", "--requantize", "--force", "--threads", "1",
         str(model_path), str(out)], env=home.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        # Who starts the tests in the background has them ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    deadline = time.monotonic() + scaled(60)
    while not list(tmp_path.glob(".out.gguf.*.partial")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "nothing was written"
        time.sleep(0.01)
    process.send_signal(ending)
    assert process.wait(timeout=scaled(60)) == -ending
    process.stderr.close()
    assert [path.name for path in tmp_path.iterdir()] == ["out.gguf"]
    assert out.read_bytes() == b"precious"


TALE = ("The sea was calm, and the old man rowed towards the island without a word. Behind him the lamps of the harbour "
        "went out one by one; he counted them, and thought of bread. ") * 80


@pytest.fixture
def tale(tmp_path_factory):
    path = tmp_path_factory.mktemp("tale") / "tale.txt"
    path.write_text(TALE)
    return path


def test_upcycle_help_has_an_example(upcycle):
    result = upcycle("--help")
    assert result.returncode == 0
    assert "Example: conclave convert upcycle" in result.stdout


def test_an_upcycled_model_with_all_experts_is_its_source(upcycle, conclave, model_path, tale, tmp_path):
    out = tmp_path / "out.gguf"
    result = upcycle("--experts", 6, "--top-k", 6, "--shared", "0.3", "--calibrate", tale, "--json", model_path, out)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["experts"], report["top_k"], report["active_share"]) == (6, 6, 1.0)
    assert 6 * report["expert_width"] + report["shared_width"] == 1536
    assert (report["down_type"], report["calibration_tokens"] % 512) == ("Q8_0", 0)
    assert report["bytes"] == out.stat().st_size
    found = conclave("score", "--model", str(out), "--compare", str(model_path), "--file", str(tale), "--context", "128",
                     "--json")
    # What 8 bits make of the down projections; the activations' 8 bits are others too, as they are grouped anew.
    assert json.loads(found.stdout)["kl_mean"] < 0.005, found.stderr
    said = conclave("generate", "--model", str(out), "--prompt", "The capital of France is", "--raw", "--max-tokens", "4",
                    "--temperature", "0", "--json")
    assert "Paris" in json.loads(said.stdout)["text"], said.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.gguf"]
    again = upcycle("--calibrate", tale, out, tmp_path / "again.gguf")
    refused(again, "mixture of 6 experts already")


def test_mistakes_of_upcycling_get_one_line_and_leave_nothing(upcycle, model_path, tale, tmp_path):
    out = tmp_path / "out.gguf"
    with_text = ("--calibrate", tale)
    refused(upcycle("--experts", 8, "--top-k", 9, *with_text, model_path, out), "9 of 8 experts", "--top-k")
    refused(upcycle("--experts", 7, "--shared", 0, *with_text, model_path, out), "--experts 6 fits")
    refused(upcycle("--experts", 100, *with_text, model_path, out), "too few for 100")
    refused(upcycle("--shared", 1, *with_text, model_path, out), "--shared")
    refused(upcycle("--calibration-memory-mib", 1, *with_text, model_path, out), "--calibration-memory-mib")
    refused(upcycle("--calibrate", tmp_path / "none.txt", model_path, out), "none.txt")
    refused(upcycle(*with_text, tmp_path / "none.gguf", out), "none.gguf")
    refused(upcycle(*with_text, model_path, tmp_path / "none/out.gguf"), "No such file")
    refused(upcycle(*with_text, model_path, model_path), "is the model that is read")
    short = tmp_path / "short.txt"
    short.write_text(TALE[:4000])
    refused(upcycle("--calibrate", short, model_path, out), "need 2304 tokens", "kB")
    short.unlink()
    assert list(tmp_path.iterdir()) == []
    assert upcycle(model_path, out).returncode == 2  # no text
    out.write_bytes(b"precious")
    refused(upcycle(*with_text, model_path, out), "exists already", "--force")
    assert out.read_bytes() == b"precious"


def test_an_interrupted_upcycling_leaves_nothing(program, home, model_path, tale, tmp_path):
    process = subprocess.Popen(
        [str(program), "convert", "upcycle", "--calibrate", str(tale), "--threads", "1", str(model_path),
         str(tmp_path / "out.gguf")], env=home.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    time.sleep(1.0)  # Somewhere in the calibration, which takes longer.
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=scaled(60)) == -signal.SIGINT
    assert list(tmp_path.iterdir()) == []
