"""Random templates for the comparison of chat templates with jinja2: a grammar and a seed."""

import random

NAMES = ["a", "b", "s", "l", "d", "n", "x", "y", "t", "missing"]
CONTEXT = {"a": 1, "b": -2.5, "s": "Ab c", "l": [3, 1, "z"], "d": {"k": 1, "m": {"k": "v"}}, "n": None, "t": True,
           "messages": [{"role": "user", "content": " Hi\n"}, {"role": "assistant", "content": "Yo"}]}
LITERALS = ["0", "1", "2", "7", "'x'", "'a b'", "''", "1.5", "true", "none", "[1, 2]", "('p', 'q')", "{'k': 2}", "'Ab c'"]
FILTERS = ["upper", "lower", "trim", "string", "default(1)", "string|length", "string|list|first", "tojson", "string|upper", "length", "list", "first", "last", "join('-')", "default('D')", "tojson", "int",
           "abs", "sort", "reverse|list", "unique|list", "map('string')|list", "select|list", "title", "replace('A', 'q')",
           "sum", "max", "min", "items|list", "dictsort", "indent(1)", "batch(2)|list", "capitalize", "escape", "round"]
TESTS = ["defined", "none", "string", "number", "mapping", "sequence", "iterable", "odd", "true", "undefined", "boolean",
         "eq 1", "in l", "divisibleby 2", "integer", "float"]
SUFFIXES = [".k", ".q", "[0]", "[-1]", ".k", ".m.k", "['k']", "[0]", "[-1]", "[1:]", "[::-1]", ".upper()", ".strip()", ".split()", ".items()|list", ".get('k', 5)",
            ".replace('b', 'B')", ".startswith('A')", "[:2]", ".title()", ".find('c')", ".keys()|list"]
OPERATORS = ["+", "-", "*", "//", "%", "/", "<", ">=", "in", "not in"] + ["~", "==", "!=", "and", "or"] * 5
SIGNS = ["", "", "", "-", "+"]


class Grammar:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def expression(self, depth):
        pick = self.random.random()
        if depth <= 0 or pick < 0.25:
            return self.random.choice(NAMES + LITERALS)
        if pick < 0.45:
            left, right = self.expression(depth - 1), self.expression(depth - 1)
            return f"({left} {self.random.choice(OPERATORS)} {right})"
        if pick < 0.60:
            return f"{self.primary(depth)}|{self.random.choice(FILTERS)}"
        if pick < 0.70:
            return f"({self.primary(depth)} is {self.random.choice(['', 'not '])}{self.random.choice(TESTS)})"
        if pick < 0.85:
            # On names only: jinja2 computes what is constant by other rules.
            return f"{self.random.choice('sslldddabx')}{self.random.choice(SUFFIXES)}"
        if pick < 0.90:
            parts = [self.expression(depth - 1) for _ in range(3)]
            return f"({parts[0]} if {parts[1]} else {parts[2]})"
        if pick < 0.95:
            return f"[{self.expression(depth - 1)}, {self.expression(depth - 1)}]"
        return f"(not {self.expression(depth - 1)})"

    def primary(self, depth):
        return self.random.choice(["s", "l", "d", "a", "b", "x", f"({self.expression(depth - 1)})"])

    def sign(self):
        return self.random.choice(SIGNS)

    def tag(self, text):
        begin, end = self.sign(), self.sign()
        return "{%" + begin + " " + text + " " + end + "%}"

    def text(self):
        return self.random.choice(["", " ", "\n", "t", "  \n", "\n  ", " u ", "\n\n", "{", "ü\n"])

    def body(self, depth, loop=False):
        count = self.random.randint(1, 3)
        return "".join(self.text() + self.statement(depth, loop) for _ in range(count)) + self.text()

    def statement(self, depth, loop):
        kind = self.random.randrange(12 if depth > 0 else 4)
        if kind < 3:
            begin, end = self.random.choice(["", "-"]), self.random.choice(["", "-"])
            return "{{" + begin + " " + self.expression(self.random.choice([0, 1, 1, 2])) + " " + end + "}}"
        if kind == 3:
            return self.tag(f"set {self.random.choice(['x', 'y', 'a'])} = {self.expression(2)}")
        inner = self.body(depth - 1, loop or kind in (6, 7))
        if kind in (4, 5):
            other = self.tag("else") + self.body(depth - 1, loop) if self.random.random() < 0.5 else ""
            return self.tag(f"if {self.expression(2)}") + inner + other + self.tag("endif")
        if kind in (6, 7):
            extra = self.random.choice(["", "", "{{ loop.index }}", "{{ loop.last }}", "{{ loop.previtem }}", "{% break %}"])
            condition = self.random.choice(["", "", f" if {self.expression(1)}"])
            other = self.tag("else") + "E" if self.random.random() < 0.3 else ""
            items = self.random.choice(["l", "d", "s", "range(3)", "messages", self.expression(1)])
            return self.tag(f"for x in {items}{condition}") + inner + extra + other + self.tag("endfor")
        if kind == 8:
            return self.tag("macro m(x, y=1)") + inner + self.tag("endmacro") + "{{ m(" + self.expression(1) + ") }}"
        if kind == 9:
            return self.tag("set y") + inner + self.tag("endset") + "{{ y }}"
        if kind == 10:
            return self.tag("set ns = namespace(v=1)") + self.tag("for x in [1, 2]") + \
                self.tag("set ns.v = " + self.expression(1)) + self.tag("endfor") + "{{ ns.v }}"
        return self.random.choice(["{# c #}", "{#- c -#}", self.tag("raw").replace("+", "") + " {{ r }} {% endraw %}"])


def templates(seed, count):
    """`count` templates of Grammar(seed)."""
    grammar = Grammar(seed)
    return [grammar.body(grammar.random.choice([0, 1, 1, 2])) for _ in range(count)]
