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
# Programs with open findings; they run under that sanitizer only when asked for (`--only asan/router`). The
# undefined-behaviour sanitizer stops in a header of CAF 0.17 (init_fun_factory.hpp binds a reference to an empty tuple
# through a null pointer), and router_test's request actors outlive their test coordinator.
OPEN_FINDINGS = {"asan": {"feedback", "platform", "retriever", "router"}}
GTEST_LIMIT_S = 900
PYTEST_LIMIT_S = 2400
FUZZ_LIMIT_S = 300


@dataclass
class Suite:
    """One line of the report. `command` gets the report's path; `alone` keeps the other core free for it."""

    name: str
    command: Callable[[Path], list[str]]
    read: Callable[[Path, str, int], outcome.Outcome]
    limit_s: int
    environment: dict[str, str] = field(default_factory=dict)
    alone: bool = False


@dataclass
class Selection:
    """What the caller asked for."""

    only: list[str]
    filters: list[str]
    sanitizer: str
    seed: int
    fuzz_runs: int | None

    def wants(self, suite_name: str) -> bool:
        return not self.only or any(suite_name == only or suite_name.startswith(only + "/") for only in self.only)


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


def pytest_suite(folder: str, selection: Selection) -> Suite:
    def command(report: Path) -> list[str]:
        arguments = [sys.executable, "-m", "pytest", "-q", "-c", str(TESTS / "pytest.ini"), f"--rootdir={TESTS}",
                     f"--junitxml={report}", "-o", "junit_family=xunit2", str(TESTS / folder)]
        if selection.filters:
            arguments += ["-k", " or ".join(selection.filters)]
        return arguments

    return Suite(folder, command, outcome.read_junit, PYTEST_LIMIT_S, alone=folder != "checks")


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


def worth_running(selection: Selection, layer: str) -> bool:
    asked_for = f"{selection.sanitizer}/{layer}" in selection.only
    return asked_for or layer not in OPEN_FINDINGS.get(selection.sanitizer, set())


def discover(selection: Selection) -> list[Suite]:
    """Every wanted suite, in the order of the report. What is not built is not listed."""
    suites = [gtest_suite(f"unit/{path.name.removesuffix('_test')}", path, selection, {}, [])
              for path in programs("release", "_test")]
    if selection.sanitizer in SANITIZERS:
        environment = sanitizer_environment(selection.sanitizer)
        # The thread sanitizer's memory layout needs address randomisation off.
        prefix = ["setarch", "--addr-no-randomize"] if selection.sanitizer == "tsan" else []
        suites += [gtest_suite(f"{selection.sanitizer}/{path.name.removesuffix('_test')}", path, selection,
                               environment, prefix)
                   for path in programs(selection.sanitizer, "_test")
                   if worth_running(selection, path.name.removesuffix("_test"))]
        if not selection.filters:
            suites += fuzz_suites(selection.sanitizer, selection, environment)
    for folder in PYTEST_FOLDERS:
        if any((TESTS / folder).glob("*_test.py")) or any((TESTS / folder).glob("*_check.py")):
            suites.append(pytest_suite(folder, selection))
    return [suite for suite in suites if selection.wants(suite.name)]
