"""Code that asked where a library or a module is, got no answer, and raised: which question, and whose.

``ctypes.util.find_library`` and ``importlib.util.find_spec`` answer None, ``imp.find_module`` raises: no loader is
asked. The hook knows which questions of the first kind had no answer, the source tells the others.
"""

from __future__ import annotations

import os

from dlrepair.diagnose.syntax import dotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Sequence

#: shortest name that a message is searched for: "m" is in every one
_SHORTEST = 3


def find(
    frame: FrameType, line: int, error: BaseException, unanswered: Sequence[tuple[str, str]]
) -> tuple[str, str] | None:
    """(name for ``find_library``, "") or ("", module for ``find_spec``) that the statement at ``line`` is about."""
    from dlrepair.diagnose import source, surrounding
    from dlrepair.diagnose.values import Names

    block = source.find_block(frame)
    whole = frame.f_code.co_name == "<module>"
    stmts: list[Any] = source.whole_file(frame) if whole else block.stmts if block else []
    calls = [call for node in surrounding.relevant(stmts, line) for call in _calls(node, stmts)]
    names = Names(frame)
    for name, file in reversed(unanswered):
        if file == frame.f_code.co_filename and (_mentions(error, name) or _asks(calls, names, "find_library", name)):
            return name, ""
    for call in calls:
        if dotted(call.func).rpartition(".")[2] == "find_spec" and call.args:
            text = names.text(call.args[0])
            if text and all(part.isidentifier() for part in text.split(".")):
                return "", text
    return None


def _asks(calls: list[Any], names: Any, function: str, name: str) -> bool:
    """Whether one of the calls is one of ``function`` with that name, or with one that is not known."""
    for call in calls:
        if dotted(call.func).rpartition(".")[2] == function and call.args:
            text = names.text(call.args[0])
            if text is None or text == name:
                return True
    return False


def _calls(node: Any, stmts: list[Any]) -> list[Any]:
    """The call that an expression is, or whose answer a variable of that name was given."""
    import ast

    if isinstance(node, ast.Call):
        return [node]
    name = dotted(node)
    if not name:
        return []
    found = []
    for stmt in stmts:
        for one in ast.walk(stmt):
            if isinstance(one, ast.Assign) and any(dotted(target) == name for target in one.targets):
                found += [part for part in ast.walk(one.value) if isinstance(part, ast.Call)]
    return found


def _mentions(error: BaseException, name: str) -> bool:
    """Whether a text of the exception names the library."""
    texts = [text[:4000].lower() for text in error.args[:4] if type(text) is str]
    return len(name) >= _SHORTEST and any(name.lower() in text for text in texts)


def sought_by_imp(innermost: list[tuple[FrameType, int]]) -> str:
    """The path of the extension module that ``imp.find_module(name, path)`` raised about, or ""."""
    import _imp

    for frame, _ in innermost:
        if frame.f_code.co_name == "find_module" and frame.f_globals.get("__name__") == "imp":
            name, path = frame.f_locals.get("name"), frame.f_locals.get("path")
            places = [one for one in path if type(one) is str] if isinstance(path, list) else []
            if type(name) is str and name.isidentifier() and places:
                return os.path.join(places[0], name + _imp.extension_suffixes()[0])
    return ""
