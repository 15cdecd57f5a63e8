"""infra/container/Containerfile: its instructions parse, copy what exists, and end as a service user."""

import json
import re
import shlex
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from support.project_files import REPOSITORY

CONTAINERFILE = REPOSITORY / "infra/container/Containerfile"
INSTRUCTIONS = {"FROM", "WORKDIR", "COPY", "ENV", "RUN", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD",
                "ARG", "LABEL"}


def parse(text: str) -> list[tuple[str, str]]:
    """(instruction, argument) pairs; comments are dropped and continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    pairs = [line.strip().split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(pair[0], pair[1] if len(pair) > 1 else "") for pair in pairs]


def instructions(name: str) -> list[str]:
    return [argument for instruction, argument in parse(CONTAINERFILE.read_text()) if instruction == name]


def copied_from_checkout() -> list[str]:
    """Sources of the COPY instructions that read the build context."""
    sources = []
    for argument in instructions("COPY"):
        words = shlex.split(argument)
        if not any(word.startswith("--from=") for word in words):
            sources += [word for word in words[:-1] if not word.startswith("--")]
    return sources


def test_every_instruction_is_known_and_the_first_names_an_image():
    pairs = parse(CONTAINERFILE.read_text())
    assert pairs[0][0] == "FROM" and pairs[0][1].startswith("debian:12")
    assert {name for name, _ in pairs} <= INSTRUCTIONS
    assert all(argument for _, argument in pairs)


def test_copied_files_exist_and_are_all_the_launcher_needs():
    sources = copied_from_checkout()
    assert [source for source in sources if not (REPOSITORY / source).exists()] == []
    folders = re.search(r"source_folders=\(([^)]*)\)", (REPOSITORY / "conclave").read_text()).group(1).split()
    assert set(folders) <= set(sources)
    assert {"conclave", "infra/packages.txt", "infra/models.tsv", "infra/generation_config"} <= set(sources)


def test_shell_commands_parse():
    for command in instructions("RUN"):
        result = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{command}\n{result.stderr}"


def test_runs_as_a_user_of_its_own_after_everything_is_installed():
    pairs = parse(CONTAINERFILE.read_text())
    names = [name for name, _ in pairs]
    assert instructions("USER") == ["conclave"]
    assert names.index("USER") > len(names) - 1 - names[::-1].index("RUN")
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["/usr/local/bin/conclave"]
    assert json.loads(instructions("CMD")[0]) == ["serve"]


def test_the_configured_build_needs_only_what_is_copied(tmp_path):
    """CMake's own files must not reach for a folder that the image does not hold."""
    cmake = (REPOSITORY / "CMakeLists.txt").read_text()
    before_tests = cmake.split("if(CONCLAVE_BUILD_TESTS)")[0]
    folders = re.findall(r"add_subdirectory\(([a-z]+)", before_tests)
    assert folders and set(folders) <= set(copied_from_checkout())


def test_the_health_check_asks_and_understands_the_answer():
    health = re.search(r"CMD (\[.*\])", instructions("HEALTHCHECK")[0]).group(1)
    command = json.loads(health)

    class Handler(BaseHTTPRequestHandler):
        status = 200

        def do_GET(self):
            self.send_response(self.status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *arguments):
            del arguments

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = [part.replace("7480", str(server.server_port)) for part in command]
    try:
        assert subprocess.run(here, capture_output=True, timeout=20, check=False).returncode == 0
        Handler.status = 503
        assert subprocess.run(here, capture_output=True, timeout=20, check=False).returncode != 0
    finally:
        server.shutdown()
        server.server_close()
    assert subprocess.run(here, capture_output=True, timeout=20, check=False).returncode != 0
