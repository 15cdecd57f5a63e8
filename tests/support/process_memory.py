"""What a process keeps in the machine's memory."""

import os
from pathlib import Path

import pytest


def resident_bytes(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    [line] = [line for line in rollup.splitlines() if line.startswith("Rss:")]
    return int(line.split()[1]) << 10


def skip_under_sanitizers() -> None:
    """Their shadow memory and what they keep of freed blocks is no measure of the program's own."""
    if os.environ.get("CONCLAVE_TEST_SANITIZER"):
        pytest.skip("a sanitizer's own memory hides the program's")
