"""What a suite's run came to, read from the reports that GoogleTest and pytest write."""

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Outcome:
    """Counts of one suite; `failures` holds one text a failed test."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    skip_reasons: list[str] = field(default_factory=list)

    @property
    def ran(self) -> int:
        return self.passed + self.failed + self.skipped

    def fail(self, text: str) -> None:
        self.failed += 1
        self.failures.append(text)

    def skip(self, text: str) -> None:
        self.skipped += 1
        self.skip_reasons.append(text)

    def add(self, other: "Outcome") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures
        self.skip_reasons += other.skip_reasons


def read_gtest(report: Path, output: str, status: int) -> Outcome:
    """GoogleTest's JSON report; without one (the program died) what its output shows."""
    outcome = Outcome()
    try:
        suites = json.loads(report.read_text())["testsuites"]
    except (OSError, ValueError, KeyError):
        outcome.passed = len(re.findall(r"^\[       OK \]", output, re.MULTILINE))
        outcome.fail(f"the program ended with status {status} before its report\n{last_lines(output, 120)}")
        return outcome
    for test in (test for suite in suites for test in suite["testsuite"]):
        name = f"{test['classname']}.{test['name']}"
        if test["status"] == "NOTRUN":
            continue
        if test.get("failures"):
            outcome.fail(name + "\n" + "\n".join(failure["failure"] for failure in test["failures"]))
        elif test["result"] == "SKIPPED":
            outcome.skip(f"{name}: {skip_reason(output, name)}")
        else:
            outcome.passed += 1
    if status != 0 and outcome.failed == 0:
        outcome.fail(f"every test passed, but the program ended with status {status}\n{last_lines(output, 120)}")
    return outcome


def skip_reason(output: str, name: str) -> str:
    """Why a test was skipped; GoogleTest 1.12 says it only in its output."""
    before, found, _ = output.partition(f"[  SKIPPED ] {name}")
    reason = before.rpartition(": Skipped\n")[2].strip() if found else ""
    return " ".join(reason.split())[:300] or "no reason given"


def read_junit(report: Path, output: str, status: int) -> Outcome:
    """pytest's JUnit report; without one (pytest died) its output."""
    outcome = Outcome()
    try:
        cases = list(ElementTree.parse(report).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        outcome.fail(f"pytest ended with status {status} before its report\n{last_lines(output, 120)}")
        return outcome
    for case in cases:
        name = f"{case.get('classname')}.{case.get('name')}"
        problems = [child for child in case if child.tag in ("failure", "error")]
        skips = [child for child in case if child.tag == "skipped"]
        if problems:
            outcome.fail(name + "\n" + "\n".join(problem.text or problem.get("message", "") for problem in problems))
        elif skips:
            outcome.skip(f"{name}: {skips[0].get('message')}")
        else:
            outcome.passed += 1
    # 5: no test was collected; the caller decides whether that is a fault.
    if status not in (0, 5) and outcome.failed == 0:
        outcome.fail(f"every test passed, but pytest ended with status {status}\n{last_lines(output, 120)}")
    return outcome


def read_status(report: Path, output: str, status: int) -> Outcome:
    """One test: the program's exit status."""
    del report
    outcome = Outcome(passed=int(status == 0))
    if status != 0:
        outcome.fail(f"ended with status {status}\n{last_lines(output, 120)}")
    return outcome


def last_lines(text: str, count: int) -> str:
    lines = text.splitlines()
    return "\n".join(([f"... ({len(lines) - count} lines before)"] if len(lines) > count else []) + lines[-count:])
