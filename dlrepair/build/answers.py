"""What was built for a path, found again by the contents of what it was made of: before anything is searched or read.

An answer lies among the manifests, under the path that was asked for. It names the library in the store, and holds as
long as every source, header and recipe that it was made of has the contents that it had, the compiler is there, and
TensorFlow is the same build. Nothing in it is about this interpreter, process or machine: a store that was restored,
shared or mounted elsewhere answers as well.
"""

from __future__ import annotations

import os

from dlrepair import store
from dlrepair.build import objects
from dlrepair.build.includes import signature
from dlrepair.store import builds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from dlrepair.build.prepared import Prepared
    from dlrepair.model.built import BuildResult
    from dlrepair.model.toolchain import TensorFlow

_FORMAT = "answer 1"
#: files of the project that one answer rests on: a library of more is looked at anew
MAX_FILES = 200


class Answer:
    """A library of the store that was made of what is there now, and the files that say so."""

    __slots__ = ("facts", "reason", "rests")

    def __init__(self, facts: dict[str, Any], reason: str, rests: dict[str, Any]) -> None:
        self.facts = facts
        self.reason = reason
        self.rests = rests

    @property
    def source(self) -> str:
        """The first source that it was made of."""
        return str(self.facts["sources"][0])

    def result(self) -> BuildResult:
        """The same in the words of a build."""
        from dlrepair.model.built import BuildResult, Used

        facts = self.facts
        return BuildResult(
            True, self.reason, os.path.join(facts["directory"], facts["name"]), hit=True,
            steps=tuple(facts.get("steps", ())), ops=tuple(facts.get("ops", ())), sources=tuple(facts["sources"]),
            used=tuple(Used(path, seen) for path, seen in self.rests["signatures"].items()),
            notes=tuple(self.rests["notes"]), compiler=facts.get("compiler", ""),
            tensorflow=facts.get("tensorflow", ""),
        )  # fmt: skip


def _key(wanted: str) -> str:
    return store.key_of(_FORMAT, os.path.abspath(wanted))


def _chosen() -> list[str]:
    """The compilers that the user has named."""
    return [os.environ.get(name, "") for name in ("CXX", "CC")]


# --- written ---------------------------------------------------------------------------------------------------------


def note(wanted: str, prepared: Prepared, key: str, shared: str = "") -> None:
    """Keeps that the library ``key`` is what was built for ``wanted``; in the ``shared`` store too. Never raises."""
    try:
        answer = _describe(prepared, key)
        if answer is not None:
            name = store.key_of(key, *[digest for _, digest, _ in answer["files"]])
            for base in ("", shared) if shared else ("",):
                builds.add_manifest(_key(wanted), name, answer, base)
    except (OSError, ValueError):
        pass


def _describe(prepared: Prepared, key: str) -> dict[str, Any] | None:
    chain = prepared.chain
    recipe = prepared.recipe
    has_cuda = any(part.recipe.cuda or part.recipe.cuda_sources for part in prepared.parts)
    if chain is None or has_cuda:  # an nvcc that is installed since would make another library
        return None
    code = {path: None for part in prepared.parts for path in part.scan.texts}
    rows: dict[str, list[Any]] = {}
    for part in prepared.parts:
        for known in part.known:
            if known is None:
                return None
            code.update(dict.fromkeys(known.headers))
            for name, size, mtime, digest, local in known.rows:
                if not local:
                    rows.setdefault(name, [name, size, mtime, digest, False])
    files = [[path, builds.digest_of(path), objects.header_digest(path, True)] for path in code]
    recipes = dict.fromkeys(part.recipe.file for part in prepared.parts if part.recipe.file)
    files += [[path, builds.digest_of(path), ""] for path in recipes if path not in code]
    if len(files) > MAX_FILES:
        return None
    compiler = chain.compiler
    return {
        "v": 1, "library": key, "recipe": recipe.kind, "files": files, "headers": list(rows.values()),
        "compiler": [list(compiler.argv), compiler.realpath, compiler.version, compiler.family, compiler.major],
        "toolchain": objects.toolchain_key(chain), "tensorflow": chain.tensorflow is not None,
        "chosen": _chosen(), "notes": list(prepared.notes),
    }  # fmt: skip


# --- read ------------------------------------------------------------------------------------------------------------


def find(wanted: str, shared: str, script: str, emit: Callable[..., None]) -> Answer | None:
    """The library that was built for ``wanted`` of what is there now; None where there is none. Never raises."""
    for base in ("", shared) if shared else ("",):
        for answer in builds.manifests(_key(wanted), base):
            try:
                rests = _rests(answer, script)
                if rests is None:
                    continue
                facts = builds.find(answer["library"])
                if facts is None and shared:
                    from dlrepair.build import sharing

                    facts = sharing.fetch(shared, answer["library"], script, emit)
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue  # not ours, or damaged
            if facts is not None and facts.get("sources"):
                return Answer(facts, "shared" if base else "found", rests)
    return None


def _rests(answer: dict[str, Any], script: str) -> dict[str, Any] | None:
    """Signatures and notes of an answer that holds, its files trusted; None of one that does not."""
    from dlrepair import trust

    if answer.get("v") != 1 or answer["chosen"] != _chosen():
        return None
    signatures = {}
    for path, whole, without_comments in answer["files"]:
        signatures[path] = signature(path)  # before it is read: an edit meanwhile is a change
        if builds.digest_of(path) == whole:
            continue
        if not without_comments or objects.header_digest(path, True) != without_comments:
            return None
    tensorflow = None
    if answer["tensorflow"]:
        tensorflow = _tensorflow()
        if tensorflow is None:
            return None
    if _toolchain(answer["compiler"], tensorflow) != answer["toolchain"]:
        return None
    if not _headers_hold(answer["headers"], "" if tensorflow is None else tensorflow.include + os.sep):
        return None
    if any(trust.check(path, script) is not None for path in signatures):
        return None
    return {"signatures": signatures, "notes": answer["notes"]}


def _tensorflow() -> TensorFlow | None:
    from dlrepair.build import toolchain

    try:
        return toolchain.find_tensorflow()
    except toolchain.NoToolchain:
        return None


def _toolchain(compiler: Sequence[Any], tensorflow: TensorFlow | None) -> list[str]:
    """What keys a build made with that compiler now; it is not asked for its version: a stat says that it is there."""
    from dlrepair.model.toolchain import Compiler, Toolchain

    argv, realpath, version, family, major = compiler
    return objects.toolchain_key(Toolchain(Compiler(tuple(argv), realpath, version, family, major), tensorflow))


def _headers_hold(rows: Sequence[Sequence[Any]], tensorflow: str) -> bool:
    """As ``objects.others_hold``, of names that are TensorFlow's or absolute: a thousand of them in 5 ms."""
    for name, size, mtime, digest, _ in rows:
        path = tensorflow + name[1:] if name[0] == "T" else name[1:]
        info = os.stat(path)
        if info.st_size != size or (info.st_mtime_ns != mtime and builds.digest_of(path) != digest):
            return False
    return True
