"""What a program is given inside its process: the files of modules that nothing else finds. Stage 0 imports this.

The hooks ask here, too: what ``find_library`` is to answer, and whether a load is wanted after all.
"""

import os
import sys

# `from __future__ import annotations` would import a module: annotations are strings here
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    #: (name, action, value), as in ``EnvironmentFix``
    Change = tuple[str, str, str]


class Finder:
    """The last one of ``sys.meta_path``: asked for a module only when everybody else has passed over it."""

    def __init__(self, files: "dict[str, str]") -> "None":
        self.files = files  #: name of an extension module -> its file

    def find_spec(self, name: "str", path: "Any" = None, target: "Any" = None) -> "Any":
        """The spec of a module whose file was learned, else None."""
        file = self.files.get(name)
        if file is None:
            return None
        external = sys.modules["_frozen_importlib_external"]
        return external.spec_from_file_location(name, file, loader=external.ExtensionFileLoader(name, file))


def give(variables: "tuple[Change, ...]") -> "bool":
    """Whether something of a record takes effect inside this process from now on."""
    files = {name: value for name, action, value in variables if action == "module"}
    paths = {name: value for name, action, value in variables if action in ("path", "make")}
    if paths:
        from dlrepair.learned import sources

        sources.give(paths, {name: value for name, action, value in variables if action == "source"})
    if not files:
        return bool(paths)
    for finder in sys.meta_path:
        if type(finder) is Finder:
            finder.files.update(files)
            return True
    sys.meta_path.append(Finder(files))
    return True


def restore(key: "str") -> "None":
    """The same in the process that a start of ours has led to, by the record's name."""
    from dlrepair.learned import records

    record = records.find(key)
    if record is not None and not record.stale():
        give(record.variables)


def find_answer(cwd: "str", name: "str") -> "str":
    """What ``find_library`` is to answer in the program that started in ``cwd``; "" where nothing was learned."""
    return _find(cwd, "answer", name)


def is_wanted(cwd: "str", path: "str", name: "str") -> "bool":
    """Whether the program that started in ``cwd`` has once ended for want of a library that its caller can do without.

    ``name`` is as it was asked for, ``path`` where that is.
    """
    return bool(_find(cwd, "wanted", os.path.normpath(path) if "/" in name else name))


def _find(cwd: "str", wanted: "str", name: "str") -> "str":
    """The value of the first change of that action for that name, in what was learned for the program."""
    from dlrepair.learned import directory, start

    if not os.path.isdir(directory()):
        return ""
    found = start.record_for(cwd)
    for what, action, value in found[1].variables if found is not None else ():
        if action == wanted and what == name and found is not None:
            return "" if found[1].stale() or start.forbidden(found[1]) else value
    return ""
