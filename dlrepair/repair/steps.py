"""What a step of a plan does: one function a kind, called by the runner alone.

A step that makes a file (a link, a copy, a build) notes it in ``context.made`` under the path that later
steps of the plan name; what is remembered and replayed is the file that was made.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from dlrepair.model.plan import Step
    from dlrepair.repair.context import Context


def take(context: Context, step: Step) -> Any:
    """The result of the step: the module or handle for ``load``, else None. Raises what the action raises."""
    return ACTIONS[step.kind](context, step)


def open_library(ask: Any, kind: str, path: str) -> None:
    """Loads ``path`` as a step says: local to what needs it, or promoted to the global scope (dlopen(3))."""
    if kind == "promote":
        ask.dlopen(path, os.RTLD_NOW | os.RTLD_GLOBAL | os.RTLD_NOLOAD)
    else:
        ask.dlopen(path, os.RTLD_NOW | os.RTLD_LOCAL)


def _load(context: Context, step: Step) -> Any:
    return context.ask.retry(context.made.get(step.path, step.path))


def _open(context: Context, step: Step) -> None:
    path = context.made.get(step.path, step.path)
    open_library(context.ask, step.kind, path)
    context.loaded.append(path)
    if step.kind == "preload":
        context.preloaded.append(path)


def _link(context: Context, step: Step) -> None:
    from dlrepair import store

    path = store.add_link(step.path, step.target)
    if path is None:
        raise OSError("no store to keep the link {} in".format(step.path))
    context.made[step.target] = path


def _copies(context: Context, step: Step) -> None:
    from dlrepair.repair import copies

    copies.take(context, step)


def _reexec(context: Context, step: Step) -> None:
    from dlrepair.repair import start

    start.take(context, step)


def _build(context: Context, step: Step) -> None:
    from dlrepair.repair import builder

    builder.take(context, step)


#: kind of a step -> what is done
ACTIONS: dict[str, Callable[[Context, Step], Any]] = {
    "copy": _copies,
    "link": _link,
    "patch": _copies,
    "preload": _open,
    "promote": _open,
    "load": _load,
    "build": _build,
    "reexec": _reexec,
    "trial": _copies,
}
