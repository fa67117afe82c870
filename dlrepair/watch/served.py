"""What the command is given instead of what it asks for: a table that the hook in it reads at each load.

One line a library: the path by which it is asked for, and the library in the store. The file lies in a directory
that is private to the user; ``dlrepair.hooks.watched`` reads it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

#: environment variable that leads the command's Python to the table
VARIABLE = "DLREPAIR__WATCHED"
HEAD = "dlrepair watched 1"


def new() -> str:
    """Path of a new table in a directory of its own, private to this user. Raises OSError."""
    import tempfile

    return os.path.join(tempfile.mkdtemp(prefix="dlrepair-watch-"), "served")


def write(path: str, served: Mapping[str, str]) -> bool:
    """Whether the table is in place: ``served`` maps requested paths to libraries in the store. By one rename."""
    lines = [HEAD]
    for wanted, library in sorted(served.items()):
        lines.append("{}\t{}".format(_escape(wanted), _escape(library)))
    data = ("\n".join(lines) + "\nend\n").encode("utf-8", "surrogateescape")
    temporary = "{}.{}".format(path, os.urandom(4).hex())
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        os.rename(temporary, path)
        return True
    except OSError:
        return False


def remove(path: str) -> None:
    """Removes the table and its directory."""
    import shutil

    shutil.rmtree(os.path.dirname(path), ignore_errors=True)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
