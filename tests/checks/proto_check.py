"""buf's lint rules for the wire contract, and no breaking change since the last release or landed commit."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.project_files import REPOSITORY

PROTO = REPOSITORY / "proto"
TOOLS = REPOSITORY / "build" / "npm"
SCRATCH_LIMIT_S = 300


def run(*command: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess:
    environment = {**os.environ, "BUF_CACHE_DIR": str(TOOLS / "cache")}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
                          timeout=SCRATCH_LIMIT_S, env=environment)


@pytest.fixture(scope="session")
def buf() -> str:
    """buf's program, from its npm package; installed once."""
    program = TOOLS / "node_modules" / ".bin" / "buf"
    wanted = (REPOSITORY / "tests/checks/package.json").read_text()
    installed = TOOLS / "package.json"
    if program.exists() and installed.exists() and installed.read_text() == wanted:
        return str(program)
    if not shutil.which("npm"):
        pytest.skip("npm is not installed: install Node 18 or newer to lint the protos")
    TOOLS.mkdir(parents=True, exist_ok=True)
    installed.write_text(wanted)
    result = run("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", cwd=TOOLS)
    assert result.returncode == 0, result.stdout + result.stderr
    return str(program)


def baseline() -> str | None:
    """What the contract is compared with: the newest release tag, or the landed main when this is not it."""
    tag = run("git", "describe", "--tags", "--match", "v*", "--abbrev=0", "HEAD")
    if tag.returncode == 0:
        return tag.stdout.strip()
    landed = run("git", "rev-parse", "--verify", "--quiet", "origin/main")
    head = run("git", "rev-parse", "HEAD")
    return "origin/main" if landed.returncode == 0 and landed.stdout != head.stdout else None


def test_lint_is_clean(buf):
    result = run(buf, "lint", str(PROTO))
    assert result.returncode == 0, result.stdout + result.stderr


def test_nothing_breaks_since_the_baseline(buf, tmp_path):
    against = os.environ.get("CONCLAVE_PROTO_BASELINE") or baseline()
    if against is None:
        pytest.skip("no release tag and no other landed commit to compare with")
    archive = tmp_path / "proto.tar"
    made = run("git", "archive", "--format=tar", f"--output={archive}", against, "proto")
    if made.returncode != 0:
        pytest.skip(f"{against} holds no proto folder")
    result = run(buf, "breaking", str(PROTO), "--against", f"{archive}#format=tar,strip_components=1")
    assert result.returncode == 0, f"against {against}:\n{result.stdout}{result.stderr}"


def test_the_check_sees_a_bad_name_and_a_breaking_change(buf, tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    for folder, text in ((before, "string name = 1;"), (after, "string name = 2;\n  string BadName = 3;")):
        (folder / "conclave/v1").mkdir(parents=True)
        shutil.copy(PROTO / "buf.yaml", folder)
        (folder / "conclave/v1/a.proto").write_text(
            f'syntax = "proto3";\npackage conclave.v1;\nmessage A {{\n  {text}\n}}\n')
    assert run(buf, "lint", str(before)).returncode == 0
    lint = run(buf, "lint", str(after))
    assert lint.returncode != 0 and "BadName" in lint.stdout
    breaking = run(buf, "breaking", str(after), "--against", str(before))
    assert breaking.returncode != 0 and "name" in breaking.stdout
