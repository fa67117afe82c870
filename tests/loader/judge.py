"""Asks dlrepair and the real loader about one library after another, each in a child of its own.

    python judge.py    reads a JSON list of {"path", "before": [[path, global], …]} from stdin,
                       writes one JSON document a line: {"cause", "first", "loads", "dlerror"}

The child is forked from a process that holds nothing but Python, dlrepair and ``_ctypes``; it does what
``before`` says, lets dlrepair diagnose the process that it is, and only then calls dlopen with RTLD_NOW.
Whatever the library does to that process ends with it.
"""

from __future__ import annotations

import _ctypes
import json
import os
import select
import signal
import sys

CHILD_SECONDS = 60


def first_missing(path, diagnosis, process):
    """What dlrepair says that ld.so meets first: a DT_NEEDED name, a version, a symbol or the file itself."""
    from dlrepair.binary.scope import resolve

    if diagnosis.missing and not diagnosis.symbols:
        failures = resolve(path, process=process).failures
        if failures:
            assert failures[0].name in [one.name for one in diagnosis.missing], diagnosis
            return failures[0].blocked_by or failures[0].name
    versions = [one.value for one in diagnosis.evidence if one.key == "needs-version"]
    return versions[0] if versions else diagnosis.symbols[0] if diagnosis.symbols else diagnosis.failing_object or path


def examine(case):
    """The answers of both, as one dictionary."""
    from dlrepair import api
    from dlrepair.binary.bulk import Census
    from dlrepair.binary.process import ProcessView
    from dlrepair.binary.scope import resolve

    for path, everywhere in case.get("before", ()):
        _ctypes.dlopen(path, os.RTLD_NOW | (os.RTLD_GLOBAL if everywhere else 0))
    path = case["path"]
    diagnosis = api.diagnose(path)
    view = ProcessView.current()
    said = {"cause": diagnosis.cause, "first": first_missing(path, diagnosis, view)}
    said["proved"] = Census(view).satisfied(resolve(path, process=view))
    yield said
    try:
        _ctypes.dlopen(path, os.RTLD_NOW)
        yield dict(said, loads=True, dlerror="")
    except UnicodeDecodeError as error:  # dlerror quotes bytes of a damaged file
        yield dict(said, loads=False, dlerror=os.fsdecode(error.object))
    except OSError as error:
        yield dict(said, loads=False, dlerror=str(error))


def in_child(case):
    """The last answer that a child gave before it ended, and how it ended."""
    near, far = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(near)
        signal.alarm(CHILD_SECONDS)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        status = 1
        try:
            for answer in examine(case):
                os.write(far, (json.dumps(answer) + "\n").encode())
            status = 0
        except BaseException as error:
            os.write(far, (json.dumps({"cause": "internal: %r" % error, "first": ""}) + "\n").encode())
        os._exit(status)
    os.close(far)
    said = b""
    while select.select([near], [], [], CHILD_SECONDS + 5)[0]:
        piece = os.read(near, 65536)
        if not piece:
            break
        said += piece
        if b'"loads"' in said and said.endswith(b"\n"):
            break
    os.close(near)
    if b'"loads"' in said:
        os.kill(pid, signal.SIGKILL)  # its finalisers are of no interest
    _, status = os.waitpid(pid, 0)
    answer = json.loads(said.splitlines()[-1]) if said.strip() else {"cause": "no answer", "first": ""}
    if "loads" not in answer:
        answer.update(loads=False, dlerror="", died="wait status %d" % status)
    return answer


def main():
    from dlrepair import api
    from dlrepair.binary import bulk, scope, symbols

    sys.stdin.reconfigure(errors="surrogateescape")
    api.diagnose("/nonexistent")  # imports what every child would import
    assert bulk and scope and symbols
    for case in json.load(sys.stdin):
        sys.stdout.write(json.dumps(in_child(case)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
