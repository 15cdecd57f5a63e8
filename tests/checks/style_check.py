"""Limits of size, words that mean unfinished work, and tests that cannot fail."""

import ast
import re

from support import cpp_source
from support.project_files import REPOSITORY, project_files, relative

FILE_LIMIT_LINES = 700
FUNCTION_LIMIT_LINES = 70
# Spelled apart, so that this file may contain them.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
UNFINISHED_IN_COMMENTS = re.compile(r"\b(for no" r"w|place" r"holder|not yet impl" r"emented|not impl" r"emented yet|"
                                    r"stub" r"bed( out)?|dummy impl" r"ementation)\b", re.IGNORECASE)
ASSERTION = re.compile(r"\b(EXPECT_\w+|ASSERT_\w+|ADD_FAILURE\w*|FAIL|EXPECT_CALL)\s*\(")
CALL = re.compile(r"\b([A-Za-z_]\w*)\s*(?:<[^;{}()]*>)?\s*\(")
TEST = re.compile(r"\b(?:TYPED_)?TEST(?:_F|_P)?\s*\(\s*(\w+)\s*,\s*(\w+)")


def long_files(texts: dict[str, str]) -> list[str]:
    return [f"{name}: {text.count(chr(10))} lines, at most {FILE_LIMIT_LINES}"
            for name, text in texts.items() if text.count("\n") > FILE_LIMIT_LINES]


def long_functions(texts: dict[str, str]) -> list[str]:
    return [f"{name}:{function.line}: {function.name} has {function.lines} lines, at most {FUNCTION_LIMIT_LINES}"
            for name, text in texts.items() for function in cpp_source.functions(text)
            if function.lines > FUNCTION_LIMIT_LINES]


def long_python_functions(texts: dict[str, str]) -> list[str]:
    return [f"{name}:{node.lineno}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
            for name, text in texts.items() for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > FUNCTION_LIMIT_LINES]


def unfinished(texts: dict[str, str]) -> list[str]:
    found = [f"{name}:{number}: {line.strip()}" for name, text in texts.items()
             for number, line in enumerate(text.splitlines(), 1) if UNFINISHED.search(line)]
    for name, text in texts.items():
        if name.endswith((".h", ".cc")):
            found += [f"{name}:{line}: {comment}" for line, comment in cpp_source.comments(text)
                      if UNFINISHED_IN_COMMENTS.search(comment)]
    return found


def idle_tests(texts: dict[str, str]) -> list[str]:
    """GoogleTest tests that neither assert nor call a function of the tests that does."""
    bodies = [(name, function) for name, text in texts.items() for function in cpp_source.functions(text)]
    asserting = {match.group(1) for text in texts.values()
                 for match in re.finditer(r"#define\s+(\w+)\((?:[^\n\\]|\\\n|\\.)*(?:EXPECT_|ASSERT_)", text)}

    def asserts(function: cpp_source.Function) -> bool:
        return bool(ASSERTION.search(function.body)) or any(call in asserting for call in CALL.findall(function.body))

    size = -1
    while size != len(asserting):
        size = len(asserting)
        asserting |= {function.name.split("::")[-1] for _, function in bodies
                      if not TEST.match(function.header) and asserts(function)}
    return [f"{name}:{function.line}: {TEST.search(function.header).group(0)}) asserts nothing"
            for name, function in bodies if TEST.search(function.header) and not asserts(function)]


def idle_python_tests(text: str) -> list[str]:
    """The same for pytest functions, within one file."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]

    def called(node: ast.AST) -> set[str]:
        calls = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
        return {getattr(function, "id", getattr(function, "attr", "")) for function in calls}

    def asserts_itself(node: ast.AST) -> bool:
        return (any(isinstance(part, ast.Assert) for part in ast.walk(node))
                or any(re.search("assert|expect|check|raises|verify|fail", name) for name in called(node)))

    asserting = {node.name for node in nodes if asserts_itself(node)}
    return [f"{node.lineno}: {node.name} asserts nothing" for node in nodes
            if node.name.startswith("test_") and node.name not in asserting and not called(node) & asserting]


def read(*suffixes: str, below: str = "") -> dict[str, str]:
    return {relative(path): path.read_text() for path in project_files(*suffixes, below=below)}


def test_no_file_is_too_long():
    texts = read(".h", ".cc", ".proto", ".py", ".ts", ".cmake", "CMakeLists.txt")
    texts["conclave"] = (REPOSITORY / "conclave").read_text()
    found = long_files(texts)
    assert not found, "\n" + "\n".join(found)


def test_no_function_is_too_long():
    found = long_functions(read(".cc", ".h")) + long_python_functions(read(".py"))
    assert not found, "\n" + "\n".join(found)


def test_nothing_is_marked_unfinished():
    found = unfinished(read(".h", ".cc", ".proto", ".py", ".ts", ".cmake", "CMakeLists.txt", ".md", ".yaml"))
    assert not found, "\n" + "\n".join(found)


def test_every_test_can_fail():
    found = idle_tests(read(".h", ".cc", below="tests"))
    found += [f"{name}:{line}" for name, text in read("_test.py", "_check.py", below="tests").items()
              for line in idle_python_tests(text)]
    assert not found, "\n" + "\n".join(found)


def test_the_checks_see_what_they_look_for():
    body = "  Call();\n" * 80
    assert long_functions({"a.cc": f"namespace a {{\nint F(int x) {{\n{body}}}\n}}\n"}) == [
        "a.cc:2: F has 82 lines, at most 70"]
    assert long_functions({"a.cc": f"class A {{\n  void G() const {{ Call(); }}\n{body}}};\n"}) == []
    assert long_functions({"a.cc": 'auto text = R"(int F() {' + body + '})";\n'}) == []
    assert long_files({"a.h": "\n" * 701}) and not long_files({"a.h": "\n" * 700})
    assert unfinished({"a.cc": "int x;  // TO" + "DO: finish\n"})
    assert unfinished({"a.cc": "int x;  // fixed for no" + "w\n"})
    assert not unfinished({"a.cc": 'Log("place' + 'holder");\n'})
    helper = "void Check(int x) { EXPECT_EQ(x, 1); }\n"
    assert idle_tests({"a_test.cc": helper + "TEST(A, Runs) { Run(); }\n"}) == [
        "a_test.cc:2: TEST(A, Runs) asserts nothing"]
    assert not idle_tests({"a_test.cc": helper + "TEST(A, Checks) { Check(Run()); }\n"})
    assert idle_python_tests("def test_a():\n    run()\n") == ["1: test_a asserts nothing"]
    assert not idle_python_tests("def same(a):\n    assert a\ndef test_a():\n    same(1)\n")
