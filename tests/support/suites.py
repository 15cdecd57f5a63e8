"""Finds the suites: GoogleTest programs of each build, fuzz programs, folders of pytest files."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from support import outcome

REPOSITORY = Path(__file__).resolve().parents[2]
TESTS = REPOSITORY / "tests"
BUILD = REPOSITORY / "build"
PYTEST_FOLDERS = ("checks", "peers", "integration", "faults", "browser")
SANITIZERS = ("asan", "tsan")
GTEST_LIMIT_S = 900
PYTEST_LIMIT_S = 2400
SANITIZED_PYTEST_LIMIT_S = 7200
FUZZ_LIMIT_S = 300


@dataclass
class Suite:
    """One line of the report. `command` gets the report's path."""

    name: str
    command: Callable[[Path], list[str]]
    read: Callable[[Path, str, int], outcome.Outcome]
    limit_s: int
    environment: dict[str, str] = field(default_factory=dict)
    starts_servers: bool = False
    long: bool = False


@dataclass
class Selection:
    """What the caller asked for."""

    only: list[str]
    filters: list[str]
    sanitizer: str
    seed: int
    fuzz_runs: int | None
    full: bool = False

    def wants(self, suite_name: str) -> bool:
        return not self.only or any(suite_name == only or suite_name.startswith(only + "/") for only in self.only)


def may_exist(name: str) -> bool:
    """Whether a suite can have this name, or names that begin with it, once it is built."""
    kind, _, layer = name.partition("/")
    if kind in PYTEST_FOLDERS:
        return not layer
    if kind == "fuzz":
        return True
    if kind not in ("unit", *SANITIZERS):
        return False
    return not layer or (TESTS / "unit" / layer).is_dir() or (kind in SANITIZERS and layer == "integration")


def named_sanitizer(only: list[str]) -> str | None:
    """The first sanitizer among these names of suites."""
    return next((name.split("/")[0] for name in only if name.split("/")[0] in SANITIZERS), None)


def sanitizer_environment(sanitizer: str) -> dict[str, str]:
    """Options that end the program at the first finding, with the suppressions of tests/sanitizers."""
    rules = TESTS / "sanitizers"
    common = "halt_on_error=1:print_stacktrace=1"
    return {
        "ASAN_OPTIONS": f"{common}:strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1",
        "LSAN_OPTIONS": f"suppressions='{rules}/lsan.txt':print_suppressions=0",
        "UBSAN_OPTIONS": f"{common}:suppressions='{rules}/ubsan.txt'",
        "TSAN_OPTIONS": f"halt_on_error=1:second_deadlock_stack=1:suppressions='{rules}/tsan.txt'",
        "CONCLAVE_TEST_SANITIZER": sanitizer,
    }


def gtest_suite(name: str, program: Path, selection: Selection, environment: dict[str, str],
                prefix: list[str]) -> Suite:
    def command(report: Path) -> list[str]:
        arguments = [*prefix, str(program), f"--gtest_output=json:{report}", "--gtest_brief=0", "--gtest_color=no"]
        if selection.filters:
            arguments.append("--gtest_filter=" + ":".join(f"*{text}*" for text in selection.filters))
        return arguments

    return Suite(name, command, outcome.read_gtest, GTEST_LIMIT_S, environment)


def pytest_command(folder: str, selection: Selection, report: Path) -> list[str]:
    arguments = [sys.executable, "-m", "pytest", "-q", "-c", str(TESTS / "pytest.ini"), f"--rootdir={TESTS}",
                 f"--junitxml={report}", "-o", "junit_family=xunit2", str(TESTS / folder)]
    if selection.filters:
        arguments += ["-k", " or ".join(selection.filters)]
    return arguments


def pytest_suite(folder: str, selection: Selection) -> Suite:
    return Suite(folder, lambda report: pytest_command(folder, selection, report), outcome.read_junit, PYTEST_LIMIT_S,
                 starts_servers=folder not in ("checks", "peers"), long=folder == "peers")


def sanitized_suites(selection: Selection) -> list[Suite]:
    """Unit tests, fuzz programs and integration tests with the sanitizer's build."""
    sanitizer = selection.sanitizer
    environment = sanitizer_environment(sanitizer)
    # The thread sanitizer's memory layout needs address randomisation off.
    prefix = ["setarch", "--addr-no-randomize"] if sanitizer == "tsan" else []
    found = [gtest_suite(f"{sanitizer}/{path.name.removesuffix('_test')}", path, selection, environment, prefix)
             for path in programs(sanitizer, "_test")]
    if not selection.filters:
        found += fuzz_suites(sanitizer, selection, environment)
    program = BUILD / sanitizer / "app" / "conclave"
    if program.exists():
        found.append(sanitized_integration(selection, program, environment, prefix))
    return found


def sanitized_integration(selection: Selection, program: Path, environment: dict[str, str],
                          prefix: list[str]) -> Suite:
    """tests/integration with the sanitizer's program, whose engine is several times slower: all of it with --full or
    when asked for by name, else what is not marked slow."""
    name = f"{selection.sanitizer}/integration"
    part = [] if selection.full or name in selection.only else ["-m", "not slow"]
    return Suite(name, lambda report: [*prefix, *pytest_command("integration", selection, report), *part],
                 outcome.read_junit, SANITIZED_PYTEST_LIMIT_S,
                 {**environment, "CONCLAVE_TEST_PROGRAM": str(program)}, starts_servers=True)


def fuzz_suites(preset: str, selection: Selection, environment: dict[str, str]) -> list[Suite]:
    """The programs that CMake registered as tests named fuzz/..., with the seed and count asked for."""
    folder = BUILD / preset
    if not (folder / "CTestTestfile.cmake").exists():
        return []
    listing = subprocess.run(["ctest", "--test-dir", str(folder), "--show-only=json-v1"], capture_output=True,
                             text=True, check=True)
    found = []
    for test in json.loads(listing.stdout)["tests"]:
        command = test.get("command")
        if test["name"].startswith("fuzz/") and command and Path(command[0]).exists():
            found.append(fuzz_suite(test["name"], command, selection, environment))
    return found


def fuzz_suite(name: str, command: list[str], selection: Selection, environment: dict[str, str]) -> Suite:
    arguments = replace_option(command, "--seed", selection.seed)
    if selection.fuzz_runs is not None:
        arguments = replace_option(arguments, "--iterations", selection.fuzz_runs)
    return Suite(name, lambda report: arguments, outcome.read_status, FUZZ_LIMIT_S, environment)


def replace_option(command: list[str], option: str, value: int) -> list[str]:
    """The command with another value after `option`, which is added when it is not there."""
    if option not in command:
        return [*command, option, str(value)]
    at = command.index(option) + 1
    return [*command[:at], str(value), *command[at + 1:]]


def programs(preset: str, ending: str) -> list[Path]:
    found = (BUILD / preset / "tests").glob(f"*{ending}")
    return sorted(path for path in found if path.is_file() and os.access(path, os.X_OK))


def discover(selection: Selection) -> list[Suite]:
    """Every wanted suite, in the order of the report. What is not built is not listed."""
    suites = [gtest_suite(f"unit/{path.name.removesuffix('_test')}", path, selection, {}, [])
              for path in programs("release", "_test")]
    if selection.sanitizer in SANITIZERS:
        suites += sanitized_suites(selection)
    for folder in PYTEST_FOLDERS:
        if any((TESTS / folder).glob("*_test.py")) or any((TESTS / folder).glob("*_check.py")):
            suites.append(pytest_suite(folder, selection))
    return [suite for suite in suites if selection.wants(suite.name)]
