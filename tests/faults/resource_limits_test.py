"""Where the system gives too little, a command says so in one line."""

import resource

import pytest


@pytest.mark.parametrize("mib", [200, 400])
def test_too_little_address_space_for_threads(conclave, mib):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (mib << 20, mib << 20))

    done = conclave("generate", "--prompt", "Hi", "--max-tokens", "1", preexec_fn=limit)
    assert done.returncode == 1, (done.returncode, done.stderr)
    [line] = done.stderr.splitlines()
    assert "ulimit -v" in line, line
