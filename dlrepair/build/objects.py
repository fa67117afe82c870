"""Objects by the contents that they were made of, in two steps as ccache's direct mode has them.

The first key is the source without its comments, the flags, the compiler, TensorFlow's build and the CPU. Under it
lie manifests: the headers that the compiler read, with the digest of each. Headers of the project count without
comments; those of TensorFlow and of the system are taken as unchanged where size and time stamp are.
"""

from __future__ import annotations

import os

from dlrepair import store
from dlrepair.store import builds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence, Tuple

    from dlrepair.build.commands import Unit
    from dlrepair.model.toolchain import Compiler, Toolchain

    #: bytes, mtime in ns, digest
    Row = Tuple[int, int, str]

_FORMAT = "object 2"
OBJECT = "object.o"


def identity(compiler: Compiler) -> list[str]:
    """What tells one compiler from another."""
    try:
        size = str(os.stat(compiler.realpath).st_size)
    except OSError:
        size = "-"
    return [compiler.realpath, size, compiler.version, *compiler.argv[1:]]


def machine() -> str:
    """The CPU as far as our flags depend on it: none of them names a model."""
    return os.uname().machine


def toolchain_key(toolchain: Toolchain) -> list[str]:
    """Everything about compilers, TensorFlow and machine that decides what an object holds."""
    from dlrepair.build import compiler, eras

    parts = [_FORMAT, eras.VERSION, machine(), *identity(toolchain.compiler)]
    parts += identity(toolchain.nvcc) if toolchain.nvcc is not None else []
    tensorflow = toolchain.tensorflow
    if tensorflow is not None:
        parts += [tensorflow.version, tensorflow.build, *[one for one in tensorflow.compile_flags if one[:2] != "-I"]]
        try:
            parts.append(str(os.stat(tensorflow.framework).st_size))
        except OSError:
            parts.append("-")
    return parts + [name + "=" + os.environ[name] for name in compiler.VARIABLES if name in os.environ]


def first_key(unit: Unit, text: str, toolchain: Toolchain) -> str:
    """The first key of one source with this text."""
    from dlrepair.build import lexer

    return key_of_text(unit, lexer.without_comments(text), toolchain)


def key_of_text(unit: Unit, reduced: str, toolchain: Toolchain) -> str:
    """The key of one source of which ``reduced`` is all that counts."""
    from dlrepair.build import commands

    # without the compiler itself, which is in the toolchain's part
    words = commands.neutral(unit.argv[1:], unit.directory, toolchain)
    name = os.path.relpath(unit.source, unit.directory) if unit.mapped else unit.source
    return store.key_of(*toolchain_key(toolchain), name, unit.language, reduced, *words)


class Places:
    """Names of files that mean the same on another machine, and back."""

    def __init__(self, unit: Unit, toolchain: Toolchain) -> None:
        self._pairs = [("P", unit.directory)]
        if toolchain.tensorflow is not None:
            self._pairs.insert(0, ("T", toolchain.tensorflow.include))

    def name(self, path: str, own: bool) -> str:
        if own:
            return "P" + os.path.relpath(path, self._pairs[-1][1])
        for tag, top in self._pairs[:-1]:
            if path.startswith(top + os.sep):
                return tag + path[len(top) + 1 :]
        return "A" + path

    def path(self, name: str) -> str:
        for tag, top in self._pairs:
            if name[:1] == tag:
                return os.path.normpath(os.path.join(top, name[1:]))
        return name[1:]


def header_digest(path: str, own: bool) -> str:
    """Digest of a header: of one of the project, without its comments. Raises OSError and ValueError."""
    if not own:
        return builds.digest_of(path)
    from dlrepair.build import includes, lexer

    return store.key_of(lexer.without_comments(includes.read_text(path)))


def manifest_of(
    headers: Sequence[str], places: Places, own: Sequence[str], steps: Sequence[str], known: Mapping[str, Row]
) -> dict[str, Any]:
    """A manifest for headers as they are now. Raises OSError and ValueError.

    ``known``: path -> bytes, mtime in ns and digest of some that are not the project's.
    """
    rows = []
    mine = set(own)
    for path in headers:
        info = os.stat(path)
        local = path in mine
        held = None if local else known.get(path)
        same = held is not None and held[:2] == (info.st_size, info.st_mtime_ns)
        digest = held[2] if held is not None and same else header_digest(path, local)
        rows.append([places.name(path, local), info.st_size, info.st_mtime_ns, digest, local])
    return {"v": 1, "headers": rows, "steps": list(steps)}


def object_key(first: str, manifest: dict[str, Any]) -> str:
    """The second key: of the headers' contents and the steps that were needed."""
    parts = [first, *manifest["steps"]]
    for name, _, _, digest, _ in manifest["headers"]:
        parts += [name, digest]
    return store.key_of(*parts)


def holds(manifest: dict[str, Any], places: Places) -> list[str] | None:
    """Paths of the project's headers, where all headers of the manifest are as they were; None where one is not."""
    own = []
    try:
        for name, _, _, digest, local in manifest["headers"]:
            if local:
                path = places.path(name)
                if header_digest(path, True) != digest:
                    return None
                own.append(path)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return own if others_hold(manifest["headers"], places) else None


def others_hold(rows: Sequence[Sequence[Any]], places: Places) -> bool:
    """Whether the headers of a manifest that are not the project's are as they were."""
    try:
        for name, size, mtime, digest, local in rows:
            if local:
                continue
            path = places.path(name)
            info = os.stat(path)
            if info.st_size != size or (info.st_mtime_ns != mtime and header_digest(path, False) != digest):
                return False
    except (OSError, ValueError, TypeError):
        return False
    return True


class Known:
    """An object that is known to have been made of what is there now."""

    __slots__ = ("headers", "key", "rows", "steps")

    def __init__(self, key: str, headers: list[str], steps: tuple[str, ...], rows: list[list[Any]]) -> None:
        self.key = key
        self.headers = headers  #: of the project
        self.steps = steps
        self.rows = rows  #: of the manifest: every header


def find(first: str, places: Places, shared: str = "") -> Known | None:
    """The object that the manifests know for these very files, whether or not it is still kept."""
    for base in ("", shared) if shared else ("",):
        for manifest in builds.manifests(first, base):
            if manifest.get("v") != 1:
                continue
            headers = holds(manifest, places)
            if headers is None:
                continue
            if base:
                builds.add_manifest(first, object_key(first, manifest), manifest)
            return Known(object_key(first, manifest), headers, tuple(manifest["steps"]), manifest["headers"])
    return None


def read_dependencies(path: str) -> list[str]:
    """Files named by a dependency file as ``-MMD -MF`` writes it (make's syntax), the source first. Raises OSError."""
    import re

    with open(path, "rb") as stream:
        text = stream.read().decode("utf-8", "surrogateescape")
    text = text.replace("\\\n", " ").partition(": ")[2]
    words = re.findall(r"(?:\\.|\$\$|[^\s\\])+", text)
    return [re.sub(r"\\(.)", r"\1", word).replace("$$", "$") for word in words]
