"""Names of suites are known before anything is built."""

import pytest

from support import suites


@pytest.mark.parametrize("name", ["unit", "unit/engine", "asan", "asan/engine", "tsan/integration", "tsan/router", "fuzz",
                                  "fuzz/tokenizer", "checks", "peers", "integration", "faults", "browser"])
def test_a_name_of_a_suite(name):
    assert suites.may_exist(name)


@pytest.mark.parametrize("name", ["", "nope", "unit/nope", "checks/layers", "ubsan", "asan/fuzz", "unit/../faults/x"])
def test_no_name_of_a_suite(name):
    assert not suites.may_exist(name)
