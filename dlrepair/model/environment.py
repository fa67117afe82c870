"""What a new process needs in its environment so that a library loads."""

from __future__ import annotations

from dlrepair.model.records import dataclass

#: Values of the action: how ``value`` enters the variable.
#: ``prepend``: in front of a list separated by colons; ``remove``: out of it; ``tunable``: ``name=value`` in
#: GLIBC_TUNABLES, in place of an older value of that name; ``set``: the whole value. The program
#: does not see them, and its children start with the user's own; ``show``: as ``set``, for a variable that the
#: program itself reads. The others are no variables, and are given inside the process: ``module``, the file of an
#: extension module that nothing else finds; ``answer``, what ``ctypes.util.find_library`` answers in place of None;
#: ``wanted``, a library whose load is repaired though its caller can do without: the program has ended for want of it;
#: ``built``, where an extension module would lie that nobody has built; ``path``, the file that answers a question of
#: the program's own code for a path at which nothing is, ``make``, the loader for which one is built in that place,
#: ``instead``, either of these where something broken lies there; ``source``, which questions of one of its files: the
#: name of the module, and numbers (``learned.sources``).
ACTIONS = ("prepend", "remove", "tunable", "set", "show", "module", "answer", "wanted", "built", "path", "make",
           "instead", "source")  # fmt: skip


@dataclass(frozen=True)
class EnvironmentFix:
    """Changes to the environment at the start of the process, and what they rest on."""

    #: (name, action, value), e.g. ``("LD_LIBRARY_PATH", "prepend", "/opt/vendor/lib")``; values are absolute paths
    variables: tuple[tuple[str, str, str], ...]
    why: str  #: one clause with the fact: "libfoo.so.1 of version 2 lies in /opt/vendor/lib"
    files: tuple[str, ...]  #: files that it rests on: when one changes, it is no longer applied
    #: how it is proved: ``trace`` (ld.so maps and relocates everything, and runs no code of it) or
    #: ``load`` (a child loads the library: its initialisers run there; for what the trace cannot tell)
    proof: str = "trace"
