"""Fetches the source packages whose data files the peer tests compare with, once, into build/peers."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from support.suites import BUILD

LLAMA_CPP_PACKAGE = "llama-cpp-python"
LLAMA_CPP_VERSION = "0.3.36"
LLAMA_CPP_SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
# Vocabularies with their expected tokens, and chat templates.
LLAMA_CPP_DATA = "vendor/llama.cpp/models/"


def llama_cpp_source() -> Path:
    """The folder with llama.cpp's data files; fetched when missing. Raises RuntimeError when it cannot be."""
    return fetched(LLAMA_CPP_DATA, "")


def llama_cpp_tree() -> Path:
    """The folder with all of llama.cpp's package, to build it; fetched when missing. Raises as above."""
    return fetched("", "-whole")


def fetched(part: str, ending: str) -> Path:
    """The package's files below `part`, in a folder whose name ends so."""
    stem = f"{LLAMA_CPP_PACKAGE.replace('-', '_')}-{LLAMA_CPP_VERSION}"
    target = BUILD / "peers" / (stem + ending)
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name)
        download(folder)
        archive = folder / f"{stem}.tar.gz"
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != LLAMA_CPP_SHA256:
            raise RuntimeError(f"{archive.name} has SHA-256 {digest}, not {LLAMA_CPP_SHA256}")
        unpack(archive, f"{stem}/{part}", folder)
        (folder / stem).rename(target)
    return target


def unpack(archive: Path, prefix: str, folder: Path) -> None:
    """The plain files below `prefix`. Written by hand: tarfile's own filters are missing before Python 3.11.4."""
    with tarfile.open(archive) as tar:
        for member in tar:
            if not member.isfile() or not member.name.startswith(prefix) or ".." in Path(member.name).parts:
                continue
            path = folder / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            with tar.extractfile(member) as source, open(path, "wb") as out:
                shutil.copyfileobj(source, out)


def download(folder: Path) -> None:
    """The source archive, by pip; it is not built."""
    result = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--no-binary",
         LLAMA_CPP_PACKAGE, "--progress-bar", "off", "--dest", str(folder),
         f"{LLAMA_CPP_PACKAGE}=={LLAMA_CPP_VERSION}"],
        capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{LLAMA_CPP_PACKAGE} {LLAMA_CPP_VERSION} could not be fetched:\n{result.stderr[-4000:]}")
