"""The test runner counts what ran, shows what failed, and never takes silence for success."""

import json
import os
import select
import subprocess
from pathlib import Path

from support import outcome, runner, suites, time_limits

GTEST_OUTPUT = """[ RUN      ] Cache.Needs
cache_test.cc:7: Skipped
no model
[  SKIPPED ] Cache.Needs (0 ms)
[       OK ] Cache.Holds (0 ms)
"""


def gtest_report(folder: Path, *tests: dict) -> Path:
    report = folder / "report"
    defaults = {"classname": "Cache", "status": "RUN", "result": "COMPLETED"}
    report.write_text(json.dumps({"testsuites": [{"testsuite": [{**defaults, **test} for test in tests]}]}))
    return report


def suite(name: str, script: str, **options) -> suites.Suite:
    return suites.Suite(name, lambda report: ["bash", "-c", script], outcome.read_status, 20, **options)


def test_gtest_reports_are_counted(tmp_path):
    report = gtest_report(tmp_path, {"name": "Holds"}, {"name": "Needs", "result": "SKIPPED"},
                          {"name": "Breaks", "failures": [{"failure": "expected 1"}]},
                          {"name": "FilteredOut", "status": "NOTRUN"})
    result = outcome.read_gtest(report, GTEST_OUTPUT, 1)
    assert (result.passed, result.failed, result.skipped) == (1, 1, 1)
    assert result.failures == ["Cache.Breaks\nexpected 1"]
    assert result.skip_reasons == ["Cache.Needs: no model"]


def test_a_crash_is_a_failure_with_what_passed_before(tmp_path):
    result = outcome.read_gtest(tmp_path / "missing", GTEST_OUTPUT, -11)
    assert (result.passed, result.failed) == (1, 1) and "-11" in result.failures[0]


def test_a_bad_status_after_passing_tests_is_a_failure(tmp_path):
    report = gtest_report(tmp_path, {"name": "Holds"})
    assert outcome.read_gtest(report, "LeakSanitizer: detected memory leaks", 23).failed == 1
    junit = tmp_path / "junit.xml"
    junit.write_text('<testsuites><testsuite><testcase classname="a" name="b"/></testsuite></testsuites>')
    assert outcome.read_junit(junit, "", 3).failed == 1
    assert outcome.read_junit(junit, "", 0).failed == 0


def test_junit_reports_are_counted(tmp_path):
    junit = tmp_path / "junit.xml"
    junit.write_text("""<testsuites><testsuite>
      <testcase classname="peers.a" name="good"/>
      <testcase classname="peers.a" name="bad"><failure message="m">trace</failure></testcase>
      <testcase classname="peers.a" name="broken"><error message="m">fixture</error></testcase>
      <testcase classname="peers.a" name="off"><skipped message="no model"/></testcase>
    </testsuite></testsuites>""")
    result = outcome.read_junit(junit, "", 1)
    assert (result.passed, result.failed, result.skipped) == (1, 2, 1)
    assert result.failures == ["peers.a.bad\ntrace", "peers.a.broken\nfixture"]


def test_a_suite_that_ran_nothing_fails_unless_a_filter_explains_it(tmp_path):
    empty = suites.Suite("unit/empty", lambda report: ["true"], outcome.read_junit, 20)
    (tmp_path / "none.xml").write_text("<testsuites/>")
    empty.command = lambda report: ["bash", "-c", f"cp '{tmp_path}/none.xml' '{report}'; exit 5"]
    assert runner.run_suite(empty, tmp_path, {}, may_be_empty=False)[0].failed == 1
    assert runner.run_suite(empty, tmp_path, {}, may_be_empty=True)[0].ran == 0


def ends_within(pid: int, limit_s: float) -> bool:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], limit_s)[0])
    finally:
        os.close(process)


def test_a_suite_that_hangs_is_ended_with_all_it_started(tmp_path):
    hanging = suite("hang", f"sleep 300 & echo $! >'{tmp_path}/child'; wait")
    hanging.limit_s = 1
    result, _ = runner.run_suite(hanging, tmp_path, {"PATH": "/usr/bin:/bin"}, may_be_empty=False)
    assert result.failed == 1 and "within 1 s" in result.failures[0]
    assert ends_within(int((tmp_path / "child").read_text()), 10), "what was killed takes a moment to end"


def test_totals_are_the_sum_and_end_the_report(tmp_path, capsys):
    total = runner.run_all([suite("fuzz/a", "true"), suite("fuzz/b", "echo why; exit 4", starts_servers=True)], tmp_path,
                           {"PATH": "/usr/bin:/bin"}, may_be_empty=False)
    assert (total.passed, total.failed, total.skipped) == (1, 1, 0)
    printed = capsys.readouterr().out
    assert "ok   fuzz/a" in printed and "FAIL fuzz/b" in printed and "why" in printed


def test_fuzz_programs_take_the_seed_and_count_asked_for():
    assert suites.replace_option(["p", "--seed", "1", "x"], "--seed", 7) == ["p", "--seed", "7", "x"]
    assert suites.replace_option(["p"], "--iterations", 5) == ["p", "--iterations", "5"]


def test_sanitizers_find_their_suppressions_in_a_folder_with_spaces(tmp_path, monkeypatch):
    folder = tmp_path / "a check out"
    (folder / "sanitizers").mkdir(parents=True)
    for name in ("lsan", "ubsan", "tsan"):
        (folder / "sanitizers" / f"{name}.txt").write_text("leak:nothing\n" if name == "lsan" else "")
    monkeypatch.setattr(suites, "TESTS", folder)
    (tmp_path / "main.cc").write_text("int main() {}\n")
    program = tmp_path / "program"
    subprocess.run(["g++", "-fsanitize=address,undefined", "-o", program, tmp_path / "main.cc"], check=True)
    environment = {**os.environ, **suites.sanitizer_environment("asan")}
    result = subprocess.run([program], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


BINDS_TO_NULL = """#pragma once
#include <memory>
#include <tuple>
template <typename T> void Take(T&) {}
template <typename T> void Bind(std::shared_ptr<T> none) { Take(*none); }
"""


def test_a_null_reference_ends_the_program_but_where_caf_makes_one(tmp_path):
    """The flags are those of cmake/ConclaveOptions.cmake, without which the exception has no effect."""
    environment = {**os.environ, **suites.sanitizer_environment("asan")}

    def run(header: str, types: str) -> subprocess.CompletedProcess:
        (tmp_path / header).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / header).write_text(BINDS_TO_NULL)
        bind = f"Bind(std::shared_ptr<std::tuple<{types}>>());"
        (tmp_path / "main.cc").write_text(f'#include <cstdio>\n#include "{header}"\n'
                                          f'int main() {{ {bind} std::puts("went on"); }}\n')
        subprocess.run(["g++", "-std=c++20", "-I.", "-O1", "-g1", "-fsanitize=address,undefined",
                        "-fno-sanitize-recover=all", "-fsanitize-recover=null", "-o", "program", "main.cc"],
                       cwd=tmp_path, check=True)
        return subprocess.run(["./program"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    excepted = run("caf/detail/init_fun_factory.hpp", "")
    assert (excepted.returncode, excepted.stdout, excepted.stderr) == (0, "went on\n", "")
    for header, types in (("caf/detail/init_fun_factory.hpp", "int"), ("own/header.hpp", "")):
        other = run(header, types)
        assert other.returncode != 0 and other.stdout == "" and "null pointer" in other.stderr


def built(folder: Path, *programs: str) -> Path:
    """A build folder with these programs, all empty."""
    for program in programs:
        path = folder / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o755)
    return folder


def discovered(**asked) -> dict[str, suites.Suite]:
    usual = {"only": [], "filters": [], "sanitizer": "asan", "seed": 1, "fuzz_runs": None}
    return {found.name: found for found in suites.discover(suites.Selection(**{**usual, **asked}))}


def test_every_unit_program_of_the_sanitizer_runs(tmp_path, monkeypatch):
    programs = [f"asan/tests/{layer}_test" for layer in ("engine", "feedback", "platform", "retriever", "router")]
    monkeypatch.setattr(suites, "BUILD", built(tmp_path, *programs, "release/tests/base_test"))
    names = set(discovered())
    assert {"unit/base", "asan/engine", "asan/feedback", "asan/platform", "asan/retriever", "asan/router"} <= names
    assert "asan/integration" not in names, "its program is not built"
    assert not [name for name in discovered(sanitizer="none") if name.startswith("asan")]


def test_a_part_of_the_integration_tests_runs_under_the_sanitizer_and_all_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(suites, "BUILD", built(tmp_path, "asan/app/conclave", "tsan/app/conclave"))
    report = Path("report")
    part = discovered()["asan/integration"]
    assert part.command(report)[-3:] == [str(suites.TESTS / "integration"), "-m", "not slow"]
    assert part.environment["CONCLAVE_TEST_PROGRAM"] == str(tmp_path / "asan/app/conclave")
    assert part.environment["CONCLAVE_TEST_SANITIZER"] == "asan" and part.starts_servers
    for asked in ({"full": True}, {"only": ["asan/integration"]}):
        assert discovered(**asked)["asan/integration"].command(report)[-1] == str(suites.TESTS / "integration")
    tsan = discovered(only=["tsan"], sanitizer="tsan")
    assert list(tsan) == ["tsan/integration"]
    assert tsan["tsan/integration"].command(report)[0] == "setarch"


def test_naming_a_suite_of_a_sanitizer_chooses_it():
    assert suites.named_sanitizer(["unit", "tsan/router"]) == "tsan"
    assert suites.named_sanitizer(["unit", "fuzz"]) is None


def test_limits_are_longer_under_a_sanitizer(monkeypatch):
    monkeypatch.delenv("CONCLAVE_TEST_SANITIZER", raising=False)
    assert time_limits.scaled(2) == 2
    monkeypatch.setenv("CONCLAVE_TEST_SANITIZER", "asan")
    assert time_limits.scaled(2) == 2 * time_limits.SLOWDOWN["asan"]


def test_selecting_a_suite_takes_its_members_and_no_other(tmp_path):
    del tmp_path
    selection = suites.Selection(["unit", "fuzz/gguf"], [], "asan", 1, 10)
    assert selection.wants("unit") and selection.wants("unit/engine") and selection.wants("fuzz/gguf")
    assert not selection.wants("unittests") and not selection.wants("fuzz/json") and not selection.wants("peers")
