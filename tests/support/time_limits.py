"""Limits of time, longer where a sanitizer slows down what is tested."""

import os

# Measured on the default model, and rounded up.
SLOWDOWN = {"asan": 5, "tsan": 20}


def scaled(limit_s: float) -> float:
    """The limit for the program that is tested: CONCLAVE_TEST_SANITIZER names the sanitizer it was built with."""
    return limit_s * SLOWDOWN.get(os.environ.get("CONCLAVE_TEST_SANITIZER", ""), 1)
