"""What an earlier survey of an environment proved (``diagnose.environment``), while it holds.

It is asked before anything is imported that reads a library: those modules take a tenth of the time of the answer.
"""

from __future__ import annotations

import os
import sys

import dlrepair
from dlrepair import store
from dlrepair.binary import hwcaps, process
from dlrepair.store import surveys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Sequence, Tuple

    #: libraries that something loads by itself, those of them that were proved to load
    Answer = Tuple[List[str], List[str]]

#: the modules of ``binary`` on which a proof rests
CODE = (
    "bulk", "elf", "hashes", "image", "layouts", "lookups", "machine", "names", "scope", "search_path", "symbols",
    "symtab", "tables", "trace",
)  # fmt: skip

store.digest(b"")  # loads an extension module: before the process is looked at, whether or not there is an answer


def recall(places: Sequence[str], program: process.Started | None = None, cwd: str | None = None) -> Answer | None:
    """The answer for what lies below ``places``, if nothing changed on which it rests; None otherwise.

    For this process in its working directory, or for another one.
    """
    program = process.started() if program is None else program
    for where in ("", process.working_directory() if cwd is None else cwd):
        kept = surveys.recall(key(places, program, where))
        if kept is not None:
            return kept[0], kept[1]
    return None


def key(places: Sequence[str], program: process.Started, cwd: str) -> str:
    """What else the proofs rest on: the process, the user, the processor, this code; ``cwd`` where it counts."""
    (main, library_path, loaded), code = program, []
    for name in CODE:
        try:
            code.append(str(os.stat(os.path.join(os.path.dirname(process.__file__), name + ".py")).st_mtime_ns))
        except OSError:  # in an archive: the version tells
            code.append("")
    who = str(os.geteuid()) if hasattr(os, "geteuid") else ""
    return store.key_of(
        "survey 6", dlrepair.__version__, sys.version, who, main, library_path, cwd,
        "\n".join(loaded), "\n".join(places), " ".join(hwcaps.subdirectories()), *code,
    )  # fmt: skip
