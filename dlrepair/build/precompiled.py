"""A precompiled header per TensorFlow and flag set: 12 s of parsing become 1; making it costs 30 s and 470 MB once.

gcc's rules (Using Precompiled Headers, in its manual): the same compiler binary, the same code generation flags, and
the first thing in the translation unit. Whoever edits an op again and again has it made in the background.

gcc does not look whether the headers in it are still what they were, nor does it name them when the source's
dependencies are written: both is done here, with a list that lies beside it.
"""

from __future__ import annotations

import os

from dlrepair import store
from dlrepair.store import builds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

    from dlrepair.build.commands import Unit
    from dlrepair.model.toolchain import Toolchain

HEADER = "tensorflow_op.h"
_LIST = "headers.json"
#: what nearly every op includes
_INCLUDES = (
    "tensorflow/core/framework/op.h",
    "tensorflow/core/framework/op_kernel.h",
    "tensorflow/core/framework/shape_inference.h",
    "tensorflow/core/framework/common_shape_fns.h",
)
_DIRECTIVE = r"^[ \t]*#[ \t]*(?P<what>define|undef|pragma)\b(?P<rest>.*)$"
_THEIRS = r"^[ \t]*#[ \t]*include[ \t]*[<\"](?:tensorflow|third_party|unsupported|Eigen|tsl|xla)/"
_OWN = r'^[ \t]*#[ \t]*include[ \t]*"(?!tensorflow/|third_party/|unsupported/|Eigen/|tsl/|xla/)'
_ERROR = r"(?P<path>[^:\n]+):\d+:(?:\d+:)? (?:fatal )?error: (?P<text>.*)"
_WANTING = (
    r"^expected |was not declared in this scope|does not name a type|has no member named|^stray |^missing terminating "
    r"|has not been declared|No such file or directory"
)


def is_valid_for(source: str, headers: Iterable[str]) -> bool:
    """Whether a source means the same with those headers before its first line.

    It does not where a macro is defined before TensorFlow is included (``EIGEN_USE_THREADS``), by the source or by a
    header of the project: it would come too late. Nor where TensorFlow's headers are not included at all.
    """
    import re

    theirs = [match.end() for match in re.finditer(_THEIRS, source, re.MULTILINE)]
    if not theirs or _defines(source[: theirs[-1]]):
        return False
    if not re.search(_OWN, source[: theirs[-1]], re.MULTILINE):
        return True
    return not any(_defines(_before_theirs(header)) for header in headers)


def is_the_sources_own(output: str, paths: Iterable[str]) -> bool:
    """Whether a compiler's first error would be there without the precompiled header.

    That can only add declarations and macros to what a source includes. An error in one of the project's files for
    want of a declaration or in its grammar, and in no macro, is not its doing.
    """
    import re

    errors = re.split(r"^(?=[^:\n]+:\d+:(?:\d+:)? (?:fatal )?error: )", output, flags=re.MULTILINE)
    match = re.match(_ERROR, errors[1]) if len(errors) > 1 else None
    if match is None or os.path.normpath(match.group("path")) not in set(paths):
        return False
    return bool(re.search(_WANTING, match.group("text"))) and "in expansion of macro" not in errors[1]


def _before_theirs(header: str) -> str:
    import re

    theirs = [match.end() for match in re.finditer(_THEIRS, header, re.MULTILINE)]
    return header[: theirs[-1]] if theirs else header


def _defines(text: str) -> bool:
    """Whether a macro other than an include guard is defined or taken back, or a pragma given."""
    import re

    from dlrepair.build import lexer

    code = lexer.code_of(text)
    return any(
        not _is_guard(code, match.group("what"), match.group("rest"))
        for match in re.finditer(_DIRECTIVE, code, re.MULTILINE)
    )


def _is_guard(text: str, what: str, rest: str) -> bool:
    """Whether a directive is an include guard's."""
    import re

    words = rest.split()
    if what == "pragma":
        return words[:1] == ["once"]
    guard = r"#[ \t]*ifndef[ \t]+{}\b".format(re.escape(words[0] if words else "-"))
    return what == "define" and len(words) == 1 and bool(re.search(guard, text))


def key_of(toolchain: Toolchain, unit: Unit) -> str:
    """Compiler, TensorFlow's build, and every flag: a header is valid for exactly one set."""
    from dlrepair.build import objects

    flags = [word for word in unit.argv[1:] if not word.startswith(("-fmacro-prefix-map",))]
    return store.key_of("precompiled 3", *objects.toolchain_key(toolchain), *flags)


class Precompiled:
    """A header whose precompiled form lies beside it, and what that was made of."""

    __slots__ = ("path", "rows")

    def __init__(self, path: str, rows: dict[str, tuple[int, int, str]]) -> None:
        self.path = path
        self.rows = rows  #: path of each header in it -> bytes, mtime in ns, digest


def find(toolchain: Toolchain, unit: Unit) -> Precompiled | None:
    """The precompiled header for these flags; None where there is none, or one of its headers has changed since."""
    if not _may_be(toolchain, unit):
        return None
    facts = builds.find(key_of(toolchain, unit), verify=False)  # 470 MB: its sizes are compared
    rows = _rows(facts["directory"]) if facts is not None else None
    if facts is None or rows is None:
        return None
    try:
        for path, (size, mtime, digest) in rows.items():
            info = os.stat(path)
            if info.st_size != size or (info.st_mtime_ns != mtime and builds.digest_of(path) != digest):
                return None
    except OSError:
        return None
    return Precompiled(os.path.join(facts["directory"], HEADER), rows)


def _may_be(toolchain: Toolchain, unit: Unit) -> bool:
    return toolchain.tensorflow is not None and toolchain.compiler.family == "gcc" and unit.language == "c++"


def _rows(directory: str) -> dict[str, tuple[int, int, str]] | None:
    import json

    try:
        with open(os.path.join(directory, _LIST), "rb") as stream:
            return {path: (size, mtime, digest) for path, size, mtime, digest in json.loads(stream.read())}
    except (OSError, ValueError, TypeError):
        return None


def make(toolchain: Toolchain, unit: Unit) -> Precompiled | None:
    """The header, precompiled now unless it is there; None where it cannot be.

    Takes half a minute and 470 MB of the store: call it in the background. One maker at a time.
    """
    from dlrepair.build import compiler, lock

    if not _may_be(toolchain, unit):
        return None
    held = find(toolchain, unit)
    if held is not None:
        return held
    key = key_of(toolchain, unit)
    try:
        with lock.BuildLock(key, "precompiled header", 2 * compiler.SECONDS):
            return find(toolchain, unit) or _make(toolchain, unit, key)
    except (lock.NotLocked, OSError):
        return None


def _make(toolchain: Toolchain, unit: Unit, key: str) -> Precompiled | None:
    import json

    from dlrepair.build import objects

    tensorflow = toolchain.tensorflow
    assert tensorflow is not None
    directory = builds.new_directory()
    if directory is None:
        return None
    try:
        out = os.path.join(directory, "out")
        os.mkdir(out, 0o700)
        header = os.path.join(out, HEADER)
        names = os.path.join(directory, "names")
        if not _compile(toolchain, unit, header, names, directory):
            return None
        rows = []
        for path in sorted({os.path.normpath(one) for one in objects.read_dependencies(names)}):
            if path.startswith(directory + os.sep):  # the header itself, and a plugin
                continue
            info = os.stat(path)
            rows.append([path, info.st_size, info.st_mtime_ns, builds.digest_of(path)])
        with open(os.path.join(out, _LIST), "w") as stream:
            json.dump(rows, stream)
        stale = builds.find(key, verify=False)
        if stale is not None:  # its headers have changed: the lock is ours
            store.remove(stale["directory"])
        builds.publish(out, key, {"tensorflow": tensorflow.version}, os.path.dirname(directory))
        builds.tidy()
        return find(toolchain, unit)
    finally:
        store.remove(directory)


def _compile(toolchain: Toolchain, unit: Unit, header: str, names: str, directory: str) -> bool:
    """Whether ``header`` is there and precompiled; ``names`` then says of which headers.

    With its templates instantiated where the compiler takes our plugin, else as gcc leaves it.
    """
    from dlrepair.build import compiler, instantiated

    tensorflow = toolchain.tensorflow
    assert tensorflow is not None
    includes = [name for name in _INCLUDES if os.path.exists(os.path.join(tensorflow.include, name))]
    text = "".join('#include "{}"\n'.format(name) for name in includes)
    flags = [word for word in unit.argv if not word.startswith("-fmacro-prefix-map")]
    argv = [*flags, "-MD", "-MF", names, "-x", "c++-header", header, "-o", header + ".gch"]
    plugin = instantiated.plugin(toolchain.compiler, directory)
    if plugin:
        _write(header, text + instantiated.DECLARATION)
        made = not compiler.run([*argv, "-fplugin=" + plugin], temporary=directory).reason
        if made and instantiated.works(flags, header, directory):
            return True
    _write(header, text)
    return not compiler.run(argv, temporary=directory).reason


def _write(path: str, text: str) -> None:
    with open(path, "w") as stream:
        stream.write(text)
