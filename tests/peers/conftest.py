"""What the comparisons of whole models share."""

import json

import pytest

from support import conclave_process


@pytest.fixture(scope="module")
def run(program, shared_home):
    """run(ARGUMENTS...): the command's JSON."""
    def run_json(*arguments):
        result = conclave_process.run_program(shared_home, *arguments, "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    del program
    return run_json
