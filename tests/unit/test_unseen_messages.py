"""Messages of many loaders and wrappers in the ways they are pasted, labelled by hand (messages_unseen.jsonl).

Each row has the shape of a real message (loader, wrapper, escapes, line breaks, cuts, the form of a mangled symbol) in
names of our own: libraries, packages, symbols, people, places and numbers are made up, and only the words of loaders
and the names of platforms are real. The batches are in the order in which their shapes were met. Lists hold what
a careful reader would accept; an empty list asks nothing.
"""

from __future__ import annotations

import html
import json
import os
import textwrap

import pytest

from dlrepair.diagnose import dlerror

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")


def lines_of(name):
    with open(os.path.join(DATA, name), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def last(name):
    return name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] if name else None


def fits(expected, got):
    """Whether a name is one of those expected, by its last component or in full."""
    squeezed = "".join((got or "").split())
    return not expected or any(last(one) == last(got) or "".join(one.split()) == squeezed for one in expected)


@pytest.mark.parametrize(
    ("batch", "count"),
    [(1, 124), (2, 64), (3, 29), (4, 30), (5, 13), (6, 13), (7, 12), (8, 16), (9, 6), (10, 5), (11, 40), (12, 8),
     (21, 22), (22, 12), (23, 26), (24, 5), (25, 9)],
)
def test_unseen(batch, count):
    rows = [row for row in lines_of("messages_unseen.jsonl") if row["batch"] == batch]
    assert len(rows) == count
    wrong, first, three = [], 0, 0
    for row in rows:
        found = dlerror.parse(row["message"])
        right = (
            found.kind in row["symptom"]
            and fits(row["failing_object"], found.failing_object)
            and fits(row["missing"], found.missing)
        )
        if not right:
            wrong.append((row["id"], found))
        first += found.causes[0] in row["cause"]
        three += any(cause in row["cause"] for cause in found.causes[:3])
    print("batch {}: {} wrong, first {}, three {} of {}".format(batch, len(wrong), first, three, count))
    assert len(wrong) <= 0.03 * count, wrong
    assert first >= 0.90 * count
    assert three >= 0.97 * count


@pytest.mark.parametrize("row", lines_of("messages_of_other_things.jsonl"), ids=lambda row: ascii(row["message"][:40]))
def test_a_text_of_something_else_is_not_diagnosed(row):
    assert dlerror.parse(row["message"]).causes == ("unknown",)


def before_each_line(mark):
    return lambda text: "\n".join(mark + line for line in text.split("\n"))


def broken_at(width):
    return lambda text: "\n".join(
        line[at : at + width] for line in text.split("\n") for at in range(0, max(len(line), 1), width)
    )


def numbered(text):
    return "\n".join("{:4d}  {}".format(number, line) for number, line in enumerate(text.split("\n"), 1))


def wrapped(text):
    return "\n".join(
        textwrap.fill(line, 80, break_long_words=False, break_on_hyphens=False) for line in text.split("\n")
    )


#: What the ways of a paste do to a message, and the share of messages whose answer may change by it.
WAYS = {
    "entities": (html.escape, 0.01),
    "a page's source": (lambda text: "<pre><code>" + html.escape(text, quote=False) + "</code></pre>", 0.01),
    "line ends of HTML": (lambda text: text.replace("\n", "<br>\n"), 0.01),
    "smart quotes": (lambda text: text.replace("`", "\u2018").replace("'", "\u2019").replace('"', "\u201d"), 0.01),
    "a mail's quote": (before_each_line("> "), 0.01),
    "a box": (before_each_line("\u2502 "), 0.01),
    "colours": (before_each_line("\x1b[31m"), 0.01),
    "indented": (before_each_line("        "), 0.01),
    "docker compose": (before_each_line("web-1  | "), 0.01),
    "docker logs": (before_each_line("2024-05-01T12:00:00.123456789Z "), 0.01),
    "kubernetes": (before_each_line("2024-05-01T12:00:00.123456789Z stderr F "), 0.01),
    "github": (before_each_line("2024-05-01T12:00:00.1234567Z ##[error]"), 0.01),
    "syslog": (before_each_line("May 01 12:00:00 host app[123]: "), 0.01),
    "logcat": (before_each_line("02-11 08:15:30.417  1904  1921 E AndroidRuntime: "), 0.01),
    "pytest": (before_each_line("E   "), 0.01),
    "a terminal of 80": (broken_at(80), 0.04),
    "a terminal of 120": (broken_at(120), 0.01),
    "a mail's width": (wrapped, 0.04),
    "JSON": (lambda text: json.dumps({"log": text}), 0.01),
    "a constant of Python": (repr, 0.02),
    "Windows' line ends": (lambda text: text.replace("\n", "\r\n"), 0.01),
    "markdown's escapes": (lambda text: text.replace("_", "\\_"), 0.01),
    "a fence": (lambda text: "```\n" + text + "\n```", 0.01),
    "cut": (lambda text: text + " ...", 0.01),
    "one record": (lambda text: '{"level":"error","msg":' + json.dumps(text) + ',"time":"12:00"}', 0.02),
    "logfmt": (lambda text: "time=12:00 level=error msg=" + json.dumps(text, ensure_ascii=False), 0.01),
    "a time, a level and a name": (before_each_line("[2024-05-01 12:00:00,123] [ERROR] acme.ops: "), 0.01),
    "loguru": (before_each_line("2024-05-01 12:00:00.123 | ERROR    | acme.ops:load:12 - "), 0.01),
    "logging": (before_each_line("ERROR:acme:"), 0.01),
    "Spark": (before_each_line("24/05/01 12:00:00 ERROR Executor: "), 0.01),
    "Spring": (before_each_line("2024-05-01 12:00:00.123 ERROR 1234 --- [main] c.a.Loader : "), 0.01),
    "MPI": (before_each_line("[1,3]<stderr>:"), 0.01),
    "a rank": (before_each_line("[rank0]: "), 0.01),
    "ray": (before_each_line("(train_fn pid=1234, ip=10.0.0.5) "), 0.01),
    "abseil": (before_each_line("E0501 12:00:00.123456 1234 loader.cc:55] "), 0.01),
    "ROS": (before_each_line("[talker-1] [ERROR] [1683000000.123] [talker]: "), 0.01),
    "nginx": (before_each_line("2024/05/01 12:00:00 [error] 12#12: "), 0.01),
    "a pod": (before_each_line("my-pod-6f7d9-abcde app "), 0.02),
    "a prompt of Windows": (before_each_line("PS C:\\> "), 0.01),
    "BuildKit": (before_each_line("#12 3.456 "), 0.01),
    "an editor's numbers": (lambda text: numbered(text), 0.01),
    "a shell": (lambda text: "anna@host:~/work$ python run.py\n" + text + "\nanna@host:~/work$ ", 0.02),
    "a repr in a record": (lambda text: json.dumps({"level": "error", "exc_info": repr(text)}), 0.02),
    "a list of lines in a record": (lambda text: json.dumps({"event": "failed", "lines": text.split("\n")}), 0.01),
    "a record in a record": (lambda text: json.dumps({"log": json.dumps({"msg": text})}), 0.03),
    "a notebook's cell": (lambda text: json.dumps({"ename": "OSError", "traceback": ["\x1b[0;31m" + text]}), 0.01),
    "Jupyter": (
        lambda text: "OSError   Traceback (most recent call last)\nCell In[1], line 1\n----> 1 main()\n\n" + text,
        0.01,
    ),
    "a terminal's lines in a mail": (lambda text: before_each_line("> ")(broken_at(80)(text)), 0.04),
    "numbered, quoted, escaped": (
        lambda text: html.escape(before_each_line("> ")(numbered(broken_at(80)(text)))),
        0.04,
    ),
    "a shell in colours on a page": (
        lambda text: "<pre>"
        + html.escape(before_each_line("\x1b[31m")("anna@host:~$ python run.py\n" + text))
        + "</pre>",
        0.02,
    ),
    "coloured, in a container, on a server": (
        lambda text: before_each_line("2024-05-01T12:00:00.1234567Z #12 3.456 \x1b[31m")(text),
        0.01,
    ),
    "a question": (lambda text: "Hi, I get this error:\n\n" + text + "\n\nAny idea how to fix it?", 0.02),
}


@pytest.fixture(scope="module")
def answers():
    """Every second of all messages in the data with the answer for its text as it is."""
    names = ("messages_unseen.jsonl", "load_failures.jsonl", "messages.jsonl")
    texts = [row["message"] for name in names for row in lines_of(name)]
    told = [(text, dlerror.parse(text)) for text in texts[::2]]
    return [(text, found) for text, found in told if found.kind != "unknown"]


def told(found):
    return found.kind, last(found.failing_object), last(found.missing), found.causes[0]


@pytest.mark.parametrize("way", sorted(WAYS))
def test_the_way_of_a_paste_changes_nothing(way, answers):
    mangle, allowed = WAYS[way]
    changed = [(text, found) for text, found in answers if told(dlerror.parse(mangle(text))) != told(found)]
    assert len(answers) > 200
    assert len(changed) <= allowed * len(answers), changed


#: (text, symptom, failing object, missing, first cause): loaders that the corpus has no message of.
ELSEWHERE = {
    "FreeBSD": (
        'ld-elf.so.1: Shared object "libssl.so.111" not found, required by "python3.9"',
        "not-found", "python3.9", "libssl.so.111", "dependency-missing",
    ),
    "FreeBSD's versions": (
        "ld-elf.so.1: /lib/libc.so.7: version FBSD_1.7 required by /usr/local/lib/libfoo.so.1 not defined",
        "version-not-found", "/usr/local/lib/libfoo.so.1", "FBSD_1.7", "symbol-version-missing",
    ),
    "OpenBSD": (
        "python3: can't load library 'libfoo.so.1.0'",
        "not-found", "python3", "libfoo.so.1.0", "dependency-missing",
    ),
    "Solaris": (
        "ld.so.1: python3.9: fatal: libfoo.so.1: open failed: No such file or directory",
        "not-found", "python3.9", "libfoo.so.1", "dependency-missing",
    ),
    "Android": (
        'dlopen failed: library "libc++_shared.so" not found: needed by /data/app/x/lib/arm64/libfoo.so in namespace a',
        "not-found", "/data/app/x/lib/arm64/libfoo.so", "libc++_shared.so", "dependency-missing",
    ),
    "Android's other class": (
        'dlopen failed: "/data/app/x/lib/arm/libfoo.so" is 32-bit instead of 64-bit',
        "wrong-class", "/data/app/x/lib/arm/libfoo.so", None, "wrong-arch",
    ),
    "AIX": (
        "0509-022 Cannot load module /opt/x/_foo.so.\n\t0509-150   Dependent module libiconv.a could not be loaded.",
        "not-found", "/opt/x/_foo.so", "libiconv.a", "dependency-missing",
    ),
    "preloaded": (
        "ERROR: ld.so: object '/opt/x/libfoo.so' from LD_PRELOAD cannot be preloaded (wrong ELF class: ELFCLASS32): "
        "ignored.",
        "wrong-class", "/opt/x/libfoo.so", None, "wrong-arch",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_elsewhere(name):
    text, kind, failing, missing, cause = ELSEWHERE[name]
    found = dlerror.parse(text)
    assert (found.kind, found.failing_object, found.missing, found.causes[0]) == (kind, failing, missing, cause)


def test_paths_of_windows_keep_their_backslashes():
    found = dlerror.parse('Error loading "\\.venv\\Lib\\site-packages\\lumen\\lib\\new.dll" [WinError 126]')
    assert found.failing_object == "\\.venv\\Lib\\site-packages\\lumen\\lib\\new.dll"


def test_digits_that_are_no_numbers():
    """What the fuzzer found (reader dlerror, seed 2, input 19065): a superscript in a mangled name."""
    assert dlerror.parse("/a/b.so: undefined symbol: _ZN\u00b93fooEv").missing.startswith("_ZN")
