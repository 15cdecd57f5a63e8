"""A conversation in a terminal: what is typed and what is pasted."""

import json
import os
import pty
import re
import subprocess
import threading

import pytest

from support.router_client import LIMIT_S

PROMPT = "> "
FLAGS = ("--json", "--temperature", "0", "--max-tokens", "4")


class Terminal:
    """The program on a terminal of its own; what it prints there comes as text."""

    def __init__(self, command: list, environment: dict[str, str]):
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen([str(word) for word in command], stdin=slave, stdout=slave, stderr=slave,
                                        env={**environment, "TERM": "dumb"}, start_new_session=True)
        os.close(slave)
        self._text = ""
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._master, 4096)
            except OSError:  # nobody has it open any more
                return
            with self._changed:
                self._text += part.decode(errors="replace")
                self._changed.notify_all()

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, pattern: str, times: int = 1) -> list[str]:
        """Until the pattern was printed so many times; all that matched."""
        with self._changed:
            done = self._changed.wait_for(lambda: len(re.findall(pattern, self._text)) >= times, timeout=LIMIT_S)
            assert done, self._text
            return re.findall(pattern, self._text)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)


@pytest.fixture
def terminal(program, home, server):
    opened = Terminal([program, "chat", "--connect", server.address, *FLAGS], home.environment())
    try:
        opened.wait_for(PROMPT)
        yield opened
    finally:
        opened.end()


def answers(terminal: Terminal, count: int) -> list[dict]:
    return [json.loads(line) for line in terminal.wait_for(r'\{"[^\r\n]*\}', count)]


def leave(terminal: Terminal) -> None:
    terminal.type("/help\n")
    terminal.wait_for("/rate good")
    terminal.type("/quit\n")
    assert terminal.process.wait(timeout=LIMIT_S) == 0


def test_lines_pasted_together_are_one_question(conclave, server, terminal):
    question = "Repeat this word:\n/elephant"
    expected = conclave("chat", "--connect", server.address, *FLAGS, question)
    terminal.type(question + "\n")
    [answer] = answers(terminal, 1)
    leave(terminal)
    assert len(answers(terminal, 1)) == 1, "the second line was no question of its own"
    assert answer["text"] == json.loads(expected.stdout)["text"]


def test_a_server_that_goes_is_named(program, home, start_server):
    server = start_server()
    opened = Terminal([program, "chat", "--connect", server.address, *FLAGS], home.environment())
    try:
        opened.wait_for(PROMPT)
        opened.type("/rate good\n")
        opened.wait_for("no answer to rate yet")
        opened.type("Hello\n")
        answers(opened, 1)
        server.kill()
        opened.type("Hello again\n")
        opened.wait_for(f"conclave: the server at {server.address} is gone")
        opened.type("/rate good\n")
        opened.wait_for("not finished, so that it cannot be rated")
        leave(opened)
    finally:
        opened.end()


def test_lines_typed_one_by_one_are_questions(terminal):
    terminal.type("Hello\n")
    answers(terminal, 1)
    terminal.type("Hello again\n")
    assert len(answers(terminal, 2)) == 2
    leave(terminal)
