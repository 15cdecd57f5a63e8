"""Runs suites, two side by side where they allow it, and reports each as it ends."""

import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.outcome import Outcome
from support.suites import REPOSITORY, Suite

SIDE_BY_SIDE = 2


def run_suite(suite: Suite, reports: Path, environment: dict[str, str], may_be_empty: bool) -> tuple[Outcome, float]:
    """Runs one suite to its end or its time limit; returns what it came to and the seconds it took."""
    stem = reports / suite.name.replace("/", "-")
    report, log = stem.with_suffix(".report"), stem.with_suffix(".log")
    report.unlink(missing_ok=True)
    start = time.monotonic()
    with open(log, "wb") as output:
        process = subprocess.Popen(suite.command(report), cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, env={**environment, **suite.environment},
                                   start_new_session=True)
        try:
            status = process.wait(timeout=suite.limit_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            end_group(process)
    text = log.read_text(errors="replace")
    if status is None:
        outcome = Outcome()
        outcome.fail(f"did not end within {suite.limit_s} s; its output is {log}\n" + text[-8000:])
    else:
        outcome = suite.read(report, text, status)
        if outcome.ran == 0 and not may_be_empty:
            outcome.fail(f"no test was found in it\n{text[-8000:]}")
    return outcome, time.monotonic() - start


def end_group(process: subprocess.Popen) -> None:
    """Ends what the suite left running; its session is its own, so nothing else is touched."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


class Reporter:
    """Prints one line a suite and the failures in full; any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.total = Outcome()

    def show(self, suite: Suite, outcome: Outcome, seconds: float) -> None:
        with self._lock:
            self.total.add(outcome)
            counts = f"{outcome.passed} passed"
            if outcome.failed:
                counts += f", {outcome.failed} failed"
            if outcome.skipped:
                counts += f", {outcome.skipped} skipped"
            print(f"{'FAIL' if outcome.failed else 'ok':<5}{suite.name:<24}{counts:<38}{seconds:8.1f} s", flush=True)
            for reason in outcome.skip_reasons:
                print(f"       skipped {reason}")
            for failure in outcome.failures:
                first, _, rest = failure.partition("\n")
                print(f"  ---- {suite.name}: {first}\n{rest}\n", flush=True)


def run_all(suites: list[Suite], reports: Path, environment: dict[str, str], may_be_empty: bool) -> Outcome:
    """All suites, two side by side; of those that start servers only one runs at a time. The longest begin first."""
    reports.mkdir(parents=True, exist_ok=True)
    reporter = Reporter()

    def run(suites_in_turn: list[Suite]) -> None:
        for suite in suites_in_turn:
            outcome, seconds = run_suite(suite, reports, environment, may_be_empty)
            if outcome.ran:
                reporter.show(suite, outcome, seconds)

    servers = [suite for suite in suites if suite.starts_servers]
    others = sorted((suite for suite in suites if not suite.starts_servers), key=lambda suite: not suite.long)
    with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE) as pool:
        list(pool.map(run, [servers, *([suite] for suite in others)]))
    return reporter.total
