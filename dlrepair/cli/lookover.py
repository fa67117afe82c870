"""What ``install`` does at its end: a look at the whole environment, kept in the store for the first ``doctor``.

As installations end with ``ldconfig``, which reads the libraries once so that programs need not. Nothing that goes
wrong here is told, and nothing changes what ``install`` answers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time

from dlrepair.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair.installer import Result

#: seconds; an environment with a thousand libraries takes one
BUDGET = 5.0
#: seconds until a change is told from that of the hook's files by its time stamp (``surveys.TICK_NS``)
SETTLED = 0.06

#: stands before the answer: a sitecustomize of that environment may have spoken
_MARK = "dlrepair looks: "
#: In that environment as its own command starts: `-c` puts the working directory first, where anything may lie. What
#: that command imports belongs to the proof where it is an extension module: `re` may bring one along.
_DOCTOR = """
import sys
if sys.path[:1] == [""]:
    del sys.path[0]
import re
from dlrepair.cli.main import main
sys.stdout.write(%r)
sys.exit(main(["doctor", "--json"]))
""" % _MARK


def look(result: Result) -> dict[str, Any] | None:
    """``checked`` and ``broken`` libraries, whether that is ``complete``; None where nothing was looked at."""
    try:
        if _switched_off():
            return None
        if result.action != "unchanged":
            time.sleep(SETTLED)
        return _ask(result.python)
    except Exception:  # the hook is installed: nothing else was asked for
        return None


def describe(found: dict[str, Any], asked: str | None, python: str) -> list[str]:
    """Lines for a person; ``asked``: the environment that was named on the command line."""
    import shlex

    command = "dlrepair doctor" if asked is None else shlex.quote(python) + " -m dlrepair doctor"
    if not found["complete"]:
        text = "  the libraries were not all looked at within {:.0f} s; to do so, run {}"
        return [text.format(BUDGET, output.escape(command))]
    if not found["checked"]:
        return []
    words = "looked at {}: ".format(output.counted(found["checked"], "library", "libraries"))
    if not found["broken"]:
        return ["  " + words + "all would load"]
    return ["  {}{} would not load; to see why, run {}".format(words, found["broken"], output.escape(command))]


def _switched_off() -> bool:
    from dlrepair import settings, trust

    return settings.load(check=trust.check).mode == "off"


def _ask(python: str) -> dict[str, Any] | None:
    """What ``doctor`` answers there; None where it does not, e.g. because that environment lacks dlrepair."""
    import json

    child = subprocess.Popen(
        [python, "-c", _DOCTOR], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, _ = child.communicate(timeout=BUDGET)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        return {"checked": 0, "broken": 0, "complete": False}
    finally:
        _end(child)
    if child.returncode not in (output.FINE, output.FOUND):
        return None
    _, _, text = out.decode("utf-8", "surrogateescape").partition(_MARK)
    answer, _ = json.JSONDecoder().raw_decode(text)
    return {"checked": answer["checked"], "broken": len(answer["broken"]), "complete": True}


def _end(child: subprocess.Popen[bytes]) -> None:
    """Nothing of it stays: what it forked is in its session."""
    if child.poll() is None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except (OSError, AttributeError):  # ended meanwhile; no such call
            child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()
