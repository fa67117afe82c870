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

    def __init__(self) -> "None":
        self.files: "dict[str, str]" = {}  #: name of an extension module -> its file
        self.built: "dict[str, str]" = {}  #: the same of one that is to be built -> where it would lie

    def find_spec(self, name: "str", path: "Any" = None, target: "Any" = None) -> "Any":
        """The spec of a module whose file was learned, else None."""
        place = self.built.pop(name, "")
        if place:
            self.files[name] = build(place, "import")
        file = self.files.get(name)
        if not file:
            return None
        external = sys.modules["_frozen_importlib_external"]
        return external.spec_from_file_location(name, file, loader=external.ExtensionFileLoader(name, file))


def build(path: "str", loader: "str") -> "str":
    """Path of the library that is built in place of ``path``, or was before; "" for none. Never raises."""
    name = "dlrepair.hooks.making"  # by name, as stage 0 reaches the engine
    try:
        __import__(name)
        return str(sys.modules[name].make(path, loader))
    except Exception:
        return ""


def give(variables: "tuple[Change, ...]") -> "bool":
    """Whether something of a record takes effect inside this process from now on."""
    table: "dict[str, dict[str, str]]" = {}
    for name, action, value in variables:
        table.setdefault(action, {})[name] = value
    if "source" in table:
        from dlrepair.learned import sources

        asked = {name: value for action in ("path", "make", "instead") for name, value in table.get(action, {}).items()}
        sources.give(asked, table["source"], table.get("instead", ()))
    if "module" not in table and "built" not in table:
        return "source" in table
    finder = next((one for one in sys.meta_path if type(one) is Finder), None)
    if finder is None:
        finder = Finder()
        sys.meta_path.append(finder)
    finder.files.update(table.get("module", {}))
    finder.built.update(table.get("built", {}))
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
