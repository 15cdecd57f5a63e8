"""A light reading of C++ source, enough for the style checks: comments, strings and function bodies."""

import re
from dataclasses import dataclass

RAW_STRING = re.compile(r'R"([^()\\\s]{0,16})\(.*?\)\1"', re.DOTALL)
TOKEN = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'""", re.DOTALL)
NOT_A_FUNCTION = re.compile(
    r"^(if|else|for|while|switch|catch|do|try|return|namespace|class|struct|enum|union|extern|using|template\s*<[^{]*>"
    r"\s*(class|struct)|constexpr\s+\w[^(]*=|public|private|protected|case|default)\b")
NAME = re.compile(r"([A-Za-z_~][\w:~]*)\s*\(")


@dataclass
class Function:
    """A function with its body; lines count from 1."""

    name: str
    header: str
    body: str
    line: int
    lines: int


def blank(match: re.Match) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def comments(source: str) -> list[tuple[int, str]]:
    """Each comment with its line."""
    source = RAW_STRING.sub(blank, source)
    return [(source.count("\n", 0, match.start()) + 1, match.group())
            for match in TOKEN.finditer(source) if match.group().startswith("/")]


def without_text(source: str) -> str:
    """The source with comments, strings and preprocessor lines blanked; every line stays where it is."""
    source = TOKEN.sub(blank, RAW_STRING.sub(blank, source))
    return re.sub(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", blank, source, flags=re.MULTILINE)


def functions(source: str) -> list[Function]:
    """The outermost functions, GoogleTest's TEST bodies among them; lambdas belong to the function around them."""
    code = without_text(source)
    found: list[Function] = []
    opened: list[tuple[bool, int, str]] = []  # is a function, where it begins, its header
    header_start = 0
    for position, character in enumerate(code):
        if character in ";}" and character != "}":
            header_start = position + 1
        elif character == "{":
            header = code[header_start:position].strip()
            inside = any(is_function for is_function, _, _ in opened)
            opened.append((not inside and is_function_header(header), header_start, header))
            header_start = position + 1
        elif character == "}" and opened:
            is_function, start, header = opened.pop()
            if is_function:
                found.append(make_function(code, start, position, header))
            header_start = position + 1
    return found


def is_function_header(header: str) -> bool:
    header = re.sub(r"^(\s|\[\[[^\]]*\]\]|(public|private|protected)\s*:)+", "", header)
    return "(" in header and not NOT_A_FUNCTION.match(header) and not header.endswith(("=", ",", "("))


def make_function(code: str, start: int, end: int, header: str) -> Function:
    begin = start + len(code[start:end]) - len(code[start:end].lstrip())
    line = code.count("\n", 0, begin) + 1
    match = NAME.search(header)
    return Function(match.group(1) if match else header, header, code[begin:end], line,
                    code.count("\n", begin, end) + 1)
