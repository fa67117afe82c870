"""scope.resolve against LD_TRACE_LOADED_OBJECTS on the real shared objects of an environment and the system."""

from __future__ import annotations

import os

from trees import shared_objects
from world import interpreter, trace_bare

from dlrepair.binary.scope import bare_process, resolve


def clean():
    return {key: value for key, value in os.environ.items() if not key.startswith("LD_")}


def disagreement(path, env):
    """What differs, or None."""
    theirs, error = trace_bare(path, env)
    trace = resolve(path, process=bare_process())
    if theirs is None:
        return None if trace.refused is not None or trace.failures else "ld.so refuses (%s), we do not" % error
    if trace.refused is not None:
        return "we refuse (%s), ld.so does not" % trace.refused
    ours = {}
    for entry in trace.entries:
        ours[entry.path if entry.how == "loaded" and entry.path == interpreter() else entry.name] = entry.path
    theirs = {name: where for name, where in theirs.items() if "linux-vdso" not in name and name != path}
    different = [
        "%s: ld.so %s, we %s" % (name, theirs.get(name, "nothing"), ours.get(name, "nothing"))
        for name in sorted(set(ours) | set(theirs))
        if theirs.get(name, "") != ours.get(name, "")
    ]
    return "; ".join(different) or None


def test_every_shared_object_agrees_with_ld_so(record_property):
    paths, env = shared_objects(), clean()
    assert len(paths) > 20, "too few shared objects to compare on"
    wrong = []
    for path in paths:
        said = disagreement(path, env)
        if said is not None:
            wrong.append("%s: %s" % (path, said))
    record_property("shared_objects", len(paths))
    print("%d shared objects compared, %d disagreements" % (len(paths), len(wrong)))
    assert not wrong, "\n".join(wrong)
