"""What the tests of full disks share."""

import subprocess
from pathlib import Path

import pytest

DISK_MIB = 96
BALLAST_MIB = 40


class SmallDisk:
    """A folder on a disk of DISK_MIB, part of which `ballast` takes until it is removed."""

    def __init__(self, folder: Path):
        self.data = folder / "data"
        self.ballast = folder / "ballast"
        self.ballast.write_bytes(bytes(BALLAST_MIB << 20))


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", folder], capture_output=True,
                             check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode(errors='replace').strip()}")
    yield SmallDisk(folder)
    subprocess.run(["umount", "-l", folder], check=True)
