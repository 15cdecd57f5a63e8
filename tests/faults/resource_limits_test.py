"""Where the system gives too little, a command says so in one line."""

import resource

import pytest

STACK_BYTES = 8 << 20


def failure_within(conclave, mib: int, *arguments: str) -> str:
    """The line with which a command ends that may have so much address space."""

    def limit():
        resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, STACK_BYTES))
        resource.setrlimit(resource.RLIMIT_AS, (mib << 20, mib << 20))

    done = conclave("generate", *arguments, "--prompt", "Hi", "--max-tokens", "1", preexec_fn=limit)
    assert done.returncode == 1, (done.returncode, done.stderr)
    [line] = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("mib", [200, 400])
@pytest.mark.parametrize("where", [(), ("--connect", "127.0.0.1:9")])
def test_too_little_address_space_for_threads(conclave, mib, where):
    assert "ulimit -v" in failure_within(conclave, mib, *where)


@pytest.mark.parametrize("mib", [500, 600, 700])
def test_too_little_address_space_for_a_model(conclave, mib):
    assert failure_within(conclave, mib).startswith("conclave: ")
