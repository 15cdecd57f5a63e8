"""The project's own files, without what is built or fetched."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
NOT_OURS = {"build", "node_modules", "__pycache__", "dist", "corpus", "data"}


def project_files(*suffixes: str, below: str = "") -> list[Path]:
    """Files that end so, sorted; hidden folders and built ones are left out."""
    found = []
    for folder, names, files in os.walk(REPOSITORY / below):
        names[:] = [name for name in names if name not in NOT_OURS and not name.startswith(".")]
        found += [Path(folder) / file for file in files if file.endswith(suffixes)]
    return sorted(found)


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()
