"""What a process keeps in the machine's memory."""

import os
from pathlib import Path


def resident_bytes(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    [line] = [line for line in rollup.splitlines() if line.startswith("Rss:")]
    return int(line.split()[1]) << 10


def is_measurable() -> bool:
    """A sanitizer's shadow memory, and what it keeps of freed blocks, hide the program's own."""
    return not os.environ.get("CONCLAVE_TEST_SANITIZER")
