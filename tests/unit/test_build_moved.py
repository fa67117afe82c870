"""Which changes of a source move lines and nothing else, and which sources could make more than a message of a line."""

from __future__ import annotations

import pytest

from dlrepair.build import lexer, moved


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("// x\nint a;", "int a;"),
        ("int a;\n\n\n  // x\n\nint b;", "int a;\nint b;"),
        ("/* x\n   y\n*/\nint a;", "int a;"),
        ("int a; // x\n// y\nint b;", "int a;\nint b;"),
        ("#define A 1 // x\n\n#define B 2", "#define A 1\n#define B 2"),
        ("#include <a.h>\n// x\n#include <b.h>", "#include <a.h>\n#include <b.h>"),
        ("#define X a /*\n*/ b\n", "#define X a b\n"),
        ("int a;\r\n\r\nint b;\r\n", "int a;\nint b;\n"),
    ],
)
def test_lines_do_not_count(one: str, other: str) -> None:
    assert lexer.without_comments(one) != lexer.without_comments(other) or "\r" in one
    assert lexer.without_lines(one) == lexer.without_lines(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("#define A x \\\n\ny", "#define A x \\\ny"),  # the empty line ends the directive
        ("#define A x \\\n// c\ny", "#define A x \\\ny"),
        ("#define A 1\nint a;", "#define A 1 int a;"),
        ("a\\\nb", "a\\\n b"),  # one word, two words
        ('auto r = R"(a\n\nb)";', 'auto r = R"(a\nb)";'),
        ("int a/**/b;", "int ab;"),
        ("// x \\\nint a;", "int a;"),  # the comment goes on
        ("#if A\n// x\nint a;\n#endif", "#if A\n#endif\nint a;"),
        ("f(a,b)", "f(a, b)"),  # not the same where a macro makes a string of it
        ("int a;\nint b;", "int b;\nint a;"),
    ],
)
def test_everything_else_counts(one: str, other: str) -> None:
    assert lexer.without_lines(one) != lexer.without_lines(other)


@pytest.mark.parametrize(
    "text",
    [
        "int a = __LINE__;",
        "#define HERE __LINE__\n",
        "#define JOIN(a, b) a##b\nint a = JOIN(__LI, NE__);",
        "#line 7\n",
        '# 7 "x.cc"\n',
        "int a = __builtin_LINE();",
        "#include <source_location>\nint a = std::source_location::current().line();",
        "#define STRING(x) #x\n",
        "#define STRING(x) \\\n   # x\n",
        "const char *f() { return __PRETTY_FUNCTION__; }",
        "void f(absl::SourceLocation here);",
    ],
)
def test_sources_that_ask_for_lines(text: str) -> None:
    assert moved.asks_for_lines(text)


@pytest.mark.parametrize(
    "text",
    [
        "int a; // __LINE__\n",
        'const char *s = "__LINE__";',
        "#define JOIN(a, b) a##b\n",
        '#include "a.h"\n#define A 1\n#ifdef A\n#endif\n',
        'OP_REQUIRES(context, n > 0, errors::InvalidArgument("n is ", n));\nassert(n);\n',
        'REGISTER_OP("A").Input("x: float");\n#undef A\n#pragma once\n',
    ],
)
def test_sources_that_do_not(text: str) -> None:
    assert not moved.asks_for_lines(text)
