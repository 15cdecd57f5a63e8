#!/usr/bin/env python3
"""Runs the tests that are built and ends with one line: "N passed, N failed, N skipped".

`./conclave test` builds what this runs and calls it; both take the same arguments. The status is 0 only when
something ran and nothing failed.
"""

import argparse
import os
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from support import peer_sources, runner, suites  # noqa: E402

DEFAULT_MODEL = "smollm2-135m-instruct"
NEEDS_PEER_SOURCES = ("unit", "asan", "tsan", "peers", "integration")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./conclave test", description="Builds and runs the tests.",
                                     epilog="Example: ./conclave test --only unit/engine Sampler")
    parser.add_argument("filters", nargs="*", metavar="FILTER", help="run only tests whose name contains this")
    parser.add_argument("--only", action="append", default=[], metavar="SUITE",
                        help="unit, unit/engine, asan, asan/integration, tsan, fuzz, checks, peers, integration, "
                             "faults, browser; repeatable")
    parser.add_argument("--sanitizer", choices=[*suites.SANITIZERS, "none"],
                        help="run unit tests, fuzz programs and integration tests with this sanitizer too "
                             "(default asan, or the one that --only names)")
    parser.add_argument("--full", action="store_true",
                        help="run the slow integration tests with the sanitizer too; so does --only "
                             "asan/integration. Before a release: --full with each sanitizer")
    parser.add_argument("--seed", type=int, default=1, help="of the fuzz programs (default 1)")
    parser.add_argument("--fuzz-runs", type=int, help="inputs each fuzz program tries (default: its own)")
    parser.add_argument("--list", action="store_true", help="print the suites that would run, and stop")
    arguments = parser.parse_args()
    for name in arguments.only:
        if not suites.may_exist(name):
            parser.error(f"there is no suite '{name}'")
    if arguments.sanitizer is None:
        arguments.sanitizer = suites.named_sanitizer(arguments.only) or "asan"
    return arguments


def test_environment(chosen: list[suites.Suite]) -> dict[str, str]:
    """Where tests find the program, the default model and the peers' data."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1",
                   "CONCLAVE_BUILD_DIR": str(suites.BUILD / "release"),
                   "CONCLAVE_TEST_PROGRAM": str(suites.BUILD / "release" / "app" / "conclave")}
    home = Path(os.environ.get("CONCLAVE_HOME", "~/.local/share/conclave")).expanduser()
    models = sorted((home / "models" / DEFAULT_MODEL).glob("*.gguf"))
    if models:
        environment.setdefault("CONCLAVE_TEST_MODEL", str(models[0]))
    # Tests make homes of their own; the caller's settings must not leak into them.
    for name in ("CONCLAVE_HOME", "CONCLAVE_JOBS", "CONCLAVE_SKIP_SETUP"):
        environment.pop(name, None)
    if "CONCLAVE_TEST_LLAMA_CPP" not in environment and any(
            suite.name.split("/")[0] in NEEDS_PEER_SOURCES for suite in chosen):
        environment["CONCLAVE_TEST_LLAMA_CPP"] = str(peer_sources.llama_cpp_source())
    return environment


def main() -> int:
    arguments = parse_arguments()
    selection = suites.Selection(arguments.only, arguments.filters, arguments.sanitizer, arguments.seed,
                                 arguments.fuzz_runs, arguments.full)
    chosen = suites.discover(selection)
    if arguments.list:
        print("\n".join(suite.name for suite in chosen))
        return 0
    start = time.monotonic()
    try:
        environment = test_environment(chosen)
    except RuntimeError as error:
        print(f"conclave: {error}", file=sys.stderr)
        print("0 passed, 1 failed, 0 skipped")
        return 1
    total = runner.run_all(chosen, suites.BUILD / "reports", environment, may_be_empty=bool(arguments.filters))
    print(f"\nfuzz seed {arguments.seed}; {time.monotonic() - start:.0f} s; reports in build/reports")
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 0 if total.failed == 0 and total.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
