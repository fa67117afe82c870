"""No recipe at all: sources that belong to a library by their name or by the ops that they register."""

from __future__ import annotations

import os

from dlrepair.build.recipes import names
from dlrepair.build.recipes.content import facts_of
from dlrepair.build.recipes.driver import input_kind
from dlrepair.model.build import Recipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Sequence

#: Sources whose content is looked at; those that are named like the library come first.
MAX_READ = 800


def find_by_name(
    wanted: str, starts: Sequence[str], sources: Sequence[str], ops: Sequence[str], recipes: Sequence[Recipe]
) -> list[Recipe]:
    """Return at most one recipe of the sources that make up ``wanted``: kernels, ops, and local files that they need.

    ``sources`` are those of the project, nearest first. A source is the library's when its stem is the library's
    (``lib``, ``_op``, ``_kernel`` and the like apart) or when it registers one of ``ops``, else when it alone of
    its directory registers ops.
    """
    del recipes
    core = names.core(wanted)
    usable = [path for path in sources if not _is_test(path)]
    own = [path for path in usable if names.core(_stem(path)) == core]
    own.sort(key=lambda path: _distance(path, wanted))
    if own:
        nearest = os.path.dirname(own[0])
        own = [path for path in own if os.path.dirname(path) == nearest]
    if ops:
        registering = [path for path in usable[:MAX_READ] if set(facts_of(path).ops) & set(ops)]
        if registering and not set(registering) & set(own):
            registering.sort(key=lambda path: _distance(path, wanted))
            own = [path for path in registering if os.path.dirname(path) == os.path.dirname(registering[0])]
    if not own:
        own = _only_ops(starts, usable)
    if not own:
        return []
    return [_recipe(wanted, own, usable)]


def _is_test(path: str) -> bool:
    stem = _stem(path).lower()
    return stem.endswith(("_test", "_tests", "_benchmark")) or stem.startswith("test_")


def _stem(path: str) -> str:
    name = os.path.basename(path)
    for suffix in (".cu.cc", ".cu.cpp", ".cu"):
        if name.endswith(suffix):
            return _without_gpu(name[: -len(suffix)])
    return _without_gpu(os.path.splitext(name)[0])


def _without_gpu(stem: str) -> str:
    for suffix in ("_gpu", "_cuda", "_g", "_cpu"):
        if stem.endswith(suffix) and len(stem) > len(suffix) + 1:
            return stem[: -len(suffix)]
    return stem


def _distance(path: str, wanted: str) -> tuple[int, str]:
    left, right = os.path.dirname(path).split("/"), os.path.dirname(wanted).split("/")
    common = len(os.path.commonprefix([left, right]))
    return len(left) + len(right) - 2 * common, path


def _only_ops(starts: Sequence[str], usable: Sequence[str]) -> list[str]:
    """Return the sources of the nearest start directory if they register ops and are one library's at most."""
    for directory in starts[:1]:
        here = [path for path in usable if os.path.dirname(path) == directory]
        with_ops = [path for path in here if facts_of(path).ops]
        if len(with_ops) == 1:
            return with_ops
    return []


def _recipe(wanted: str, own: list[str], usable: Sequence[str]) -> Recipe:
    """Return the recipe of ``own`` with the project's sources that belong to headers or ops of theirs."""
    members = list(own)
    for path in members:
        for other in _belonging(path, usable):
            if other not in members and len(members) < 60:
                members.append(other)
    members += [path for path in _kernels(members, usable) if path not in members]
    kinds = {path: input_kind(path) for path in members}
    cuda = tuple(path for path in members if kinds[path] == "cuda")
    host = tuple(path for path in members if kinds[path] in ("c", "c++") and not facts_of(path).main)
    includes = dict.fromkeys(os.path.dirname(path) for path in members)
    facts = [facts_of(path) for path in members]
    return Recipe(
        output=os.path.basename(wanted) if ".so" in os.path.basename(wanted) else os.path.basename(wanted) + ".so",
        sources=host,
        cuda_sources=cuda,
        cuda_defines=("GOOGLE_CUDA=1",) if cuda else (),
        include_dirs=tuple(includes) + tuple(_header_roots(members, tuple(includes))),
        cuda=bool(cuda),
        directory=os.path.dirname(own[0]),
        links_tensorflow=any(one.tensorflow for one in facts),
        python_extension=any(one.python for one in facts),
        numpy=any(one.numpy for one in facts),
        rule="stem" if own and names.core(_stem(own[0])) == names.core(wanted) else "ops",
    )


def _belonging(path: str, usable: Sequence[str]) -> Iterable[str]:
    """Yield the sources that implement a header in quotes of ``path``: of its stem, beside it or alone of that name."""
    directory = os.path.dirname(path)
    for name in facts_of(path).includes:
        if name.startswith(("tensorflow/", "third_party/", "absl/", "google/")):
            continue
        header = _find_header(name, directory)
        wanted = os.path.splitext(header or name)[0]
        own = [one for one in usable if _plain(one) == wanted or (not header and _plain(one).endswith("/" + wanted))]
        if not own:
            alone = [one for one in usable if os.path.basename(_plain(one)) == os.path.basename(wanted)]
            own = alone if len({os.path.dirname(one) for one in alone}) == 1 else []
        yield from own


def _plain(path: str) -> str:
    """Return a source's path without its ending, ``.cu.cc`` being one."""
    for suffix in (".cu.cc", ".cu.cpp"):
        if path.endswith(suffix):
            return path[: -len(suffix)]
    return os.path.splitext(path)[0]


def _find_header(name: str, directory: str) -> str:
    """Return the path of a header in quotes: from the source's directory or one above it, or ``include`` in these."""
    for _ in range(6):
        for place in ("", "include", "src"):
            path = os.path.normpath(os.path.join(directory, place, name))
            if os.path.isfile(path):
                return path
        if directory == os.path.dirname(directory):
            break
        directory = os.path.dirname(directory)
    return ""


def _header_roots(members: Sequence[str], known: Sequence[str]) -> Iterable[str]:
    """Yield the directories from which headers such as ``"ops/impl.h"`` are found, other than ``known`` ones."""
    found: list[str] = []
    for path in members:
        for name in facts_of(path).includes:
            directory = os.path.dirname(path)
            if os.path.isfile(os.path.join(directory, name)):
                continue
            header = _find_header(name, directory)
            root = header[: -len(name) - 1] if header.endswith("/" + name) else ""
            if root and root not in found and root not in known:
                found.append(root)
    return found


def _kernels(members: Sequence[str], usable: Sequence[str]) -> list[str]:
    """Return the nearby sources that register kernels for the ops of ``members``, or ops for their kernels."""
    ops = {op for path in members for op in facts_of(path).ops}
    kernels = {op for path in members for op in facts_of(path).kernels}
    if not ops and not kernels:
        return []
    top = os.path.dirname(os.path.commonprefix([os.path.dirname(path) + "/" for path in members]).rstrip("/"))
    found = []
    for path in usable[:MAX_READ]:
        if not path.startswith(top.rstrip("/") + "/"):
            continue
        facts = facts_of(path)
        if (ops - kernels) & set(facts.kernels) or (kernels - ops) & set(facts.ops):
            found.append(path)
    return found
