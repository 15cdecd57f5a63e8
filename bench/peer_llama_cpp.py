"""Builds llama.cpp's own programs from its registry package, once, into build/peers: the peer of the benchmarks."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support import peer_sources  # noqa: E402
from support.suites import BUILD  # noqa: E402

PROGRAMS = ("llama-bench", "llama-batched-bench", "llama-perplexity", "llama-quantize", "llama-imatrix",
            "llama-server")
# Every instruction of this machine, and nothing that would be fetched while it builds.
OPTIONS = ("-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_BUILD_TESTS=OFF",
           "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_TOOLS=ON", "-DLLAMA_BUILD_SERVER=ON", "-DLLAMA_BUILD_APP=OFF",
           "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_CURL=OFF")


def program(name: str) -> Path:
    """The peer's program of that name; all of PROGRAMS are built when one is missing (about 12 minutes)."""
    folder = BUILD / "peers" / "llama.cpp-build"
    if not all((folder / "bin" / each).exists() for each in PROGRAMS):
        build(folder)
    return folder / "bin" / name


def build(folder: Path) -> None:
    """Raises RuntimeError with the end of the log when it cannot be built."""
    source = peer_sources.llama_cpp_tree() / "vendor" / "llama.cpp"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.parent / "llama.cpp-build.log"
    print(f"Building llama.cpp in {folder}; the log is {log}", file=sys.stderr, flush=True)
    with open(log, "wb") as output:
        for command in (["cmake", "-G", "Ninja", "-S", str(source), "-B", str(folder), *OPTIONS],
                        ["cmake", "--build", str(folder), "--target", *PROGRAMS]):
            if subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode != 0:
                output.flush()
                raise RuntimeError(f"llama.cpp was not built:\n{log.read_text(errors='replace')[-4000:]}")


if __name__ == "__main__":
    print(program("llama-bench"))
