"""JSON documents, pages of causes, the progress bar."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pathlib

import pytest

from dlrepair.model.causes import CAUSES
from dlrepair.model.diagnosis import Diagnosis, Evidence, Symptom
from dlrepair.render import causes, jsonout, progress


@dataclasses.dataclass
class Point:
    y: int
    x: object = ()


@pytest.mark.parametrize(
    "value, plain",
    [
        (Point(1, (2, {3})), {"y": 1, "x": [2, [3]]}),
        ({"b": 1, "a": (1, 2), 3: None}, {"b": 1, "a": [1, 2], "3": None}),
        ({3, 1, 2}, [1, 2, 3]),
        (b"/lib/\xff.so", "/lib/\udcff.so"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (float("nan"), None),
        (True, True),
        (object(), "<object>"),
        (Point, "<type>"),
    ],
)
def test_plain(value, plain):
    assert jsonout.plain(value) == plain
    assert json.loads(jsonout.document(value)) == plain


def test_keys_keep_their_order():
    text = jsonout.document(Diagnosis("file-missing", Symptom("not-found"), evidence=(Evidence("k", "t"),)))
    assert list(json.loads(text)) == [field.name for field in dataclasses.fields(Diagnosis)]
    assert text.endswith("}\n") and text.isascii()


def test_a_cycle_ends():
    loop = []
    loop.append(loop)
    assert jsonout.document(loop)


def test_write():
    stream = io.StringIO()
    jsonout.write({"a": "\udcff"}, stream)
    assert json.loads(stream.getvalue()) == {"a": "\udcff"}


# --- pages ---------------------------------------------------------------------------------------------------------

PAGE = """# `file-missing`: the library is *not* there

The **loader** was asked for a path; see [wrong-cwd](wrong-cwd.md) and
[the manual](https://man7.org/dlopen). A __strong__ word, snake_case_name and 2 * 3 * 4.

## What to do

- move it
  back
* or `run **this**`
1. first
12. twelfth

```console
$ dlrepair check *x*.so
  indented
```

| cause | means |
|-------|:-----:|
| a     | **b** |

> quoted

    code
"""


def test_a_page_for_a_terminal():
    assert causes.render(PAGE, 60) == [
        "file-missing: the library is not there",
        "",
        "The loader was asked for a path; see wrong-cwd and the",
        "manual (https://man7.org/dlopen). A strong word,",
        "snake_case_name and 2 * 3 * 4.",
        "",
        "What to do",
        "",
        "- move it back",
        "- or run **this**",
        "1. first",
        "12. twelfth",
        "",
        "    $ dlrepair check *x*.so",
        "      indented",
        "",
        "  cause  means",
        "  a  b",
        "",
        "  quoted",
        "",
        "    code",
    ]


def test_a_page_in_colour():
    assert causes.render("# Title\n", colour=True) == ["\x1b[1mTitle\x1b[0m"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "```\nnever closed",
        "- ",
        "#",
        "####### seven",
        "|",
        "a\x1b[2Jb",
        "x" * 10000,
        "[" * 5000,
        "*" * 5000,
    ],
    ids=range(11),
)
def test_any_text(text):
    for line in causes.render(text):
        assert line.isprintable()


def test_long_words_and_hanging_lists():
    assert causes.render("- " + "word " * 12, 30) == [
        "- word word word word word",
        "  word word word word word",
        "  word word",
    ]
    assert causes.render("a " + "x" * 50 + " b", 20) == ["a", "x" * 50, "b"]


def test_pages_are_found_beside_the_package_or_in_it(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(causes, "_directories", lambda: (str(tmp_path / "one"), str(tmp_path / "two")))
    assert causes.page("file-missing") is None
    (tmp_path / "two" / "file-missing.md").write_text("# two", encoding="utf-8")
    assert causes.page("file-missing") == "# two"
    (tmp_path / "one" / "file-missing.md").write_text("# one", encoding="utf-8")
    assert causes.page("file-missing") == "# one"
    (tmp_path / "secret.md").write_text("x")
    for slug in ("../secret", "", "FILE-MISSING", "no-such", "file-missing\0"):
        assert causes.page(slug) is None


def test_where_pages_lie():
    package = os.path.dirname(os.path.dirname(os.path.abspath(causes.__file__)))
    assert causes._directories() == (
        os.path.join(package, "_causes"),
        os.path.join(os.path.dirname(package), "docs", "causes"),
    )


@pytest.mark.parametrize("slug", sorted(CAUSES))
def test_every_cause_has_a_page_that_can_be_shown(slug):
    page = causes.page(slug)
    assert page, "docs/causes/{}.md is missing".format(slug)
    lines = causes.render(page)
    assert slug in page and lines[0]
    assert all(line.isprintable() for line in lines)


# --- progress ------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_nothing_without_a_terminal():
    stream = io.StringIO()
    with progress.Progress("searching", 10, stream) as bar:
        for _ in range(10):
            bar.step("x")
    assert stream.getvalue() == ""


def test_a_bar_on_a_terminal_that_leaves_nothing_behind(monkeypatch):
    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with progress.Progress("searching", 4, stream) as bar:
        bar.step("a.so")
        bar.step("\x1b[2Jb.so")
    shown = stream.getvalue()
    assert "searching [#####...............] 1/4 a.so" in shown
    assert "2/4 \\x1b[2Jb.so" in shown
    assert shown.endswith("\r\x1b[K")
    monkeypatch.setenv("TERM", "dumb")
    assert not progress.Progress("x", 1, Terminal()).visible


def test_drawn_ten_times_a_second_at_most(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    bar = progress.Progress("x", 1000, stream)
    for _ in range(1000):
        bar.step()
    assert stream.getvalue().count("\r") < 50


@pytest.mark.parametrize("width", [1, 2, 10, 40, 80, 500])
def test_it_fits_the_line(width):
    bar = progress.Progress("searching", 3, io.StringIO())
    bar._detail = "d" * 1000
    bar.done = 7
    assert len(bar.line(width)) <= max(1, width - 1)


def test_a_terminal_that_goes_away(monkeypatch):
    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    monkeypatch.setenv("TERM", "xterm")

    class Gone(Terminal):
        def write(self, text):
            raise OSError(5, "Input/output error")

    with progress.Progress("x", 2, Gone()) as bar:
        bar.step()
        assert not bar.visible
    progress.Progress("x", 0, None).step()
