"""jinja2 set up as transformers does for chat templates, with a clock that stands still."""

import copy
import datetime
import functools
import json

import jinja2
import jinja2.ext
import jinja2.sandbox
from transformers.utils import chat_template_utils

NOW = datetime.datetime(2025, 3, 7, 14, 5, 9)


def now_fields():
    """NOW for chat_template_probe: C's struct tm, but with whole years and months from 1."""
    parts = NOW.timetuple()
    return [parts.tm_year, parts.tm_mon, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
            (parts.tm_wday + 1) % 7, parts.tm_yday - 1]


@functools.lru_cache(maxsize=4)
def compile_template(source):
    compiled = chat_template_utils._cached_compile_jinja_template(source)
    compiled.environment.globals["strftime_now"] = NOW.strftime
    compiled.globals["strftime_now"] = NOW.strftime
    return compiled


class Outcome:
    """What a rendering gave: the output, or the error that ended it."""

    def __init__(self, output=None, error=None):
        self.output = output
        self.error = error

    def __repr__(self):
        return f"output {self.output!r}" if self.error is None else f"error {self.error!r}"


def render(source, variables):
    """The Outcome of jinja2. Variables as apply_chat_template passes them."""
    try:
        output = compile_template(source).render(**copy.deepcopy(variables))
        output.encode("utf-8")
        return Outcome(output=output)
    except RecursionError as error:
        return Outcome(error=f"RecursionError: {error}")
    except Exception as error:  # Any error of a template is a refusal.
        return Outcome(error=f"{type(error).__name__}: {error}")


def request(source, variables):
    """The line for chat_template_probe that asks for the same rendering."""
    known = ("messages", "tools", "add_generation_prompt", "bos_token", "eos_token")
    fields = {name: variables[name] for name in known if name in variables}
    extra = {name: value for name, value in variables.items() if name not in known}
    return json.dumps({"template": source, **fields, "variables": extra, "now": now_fields()})
