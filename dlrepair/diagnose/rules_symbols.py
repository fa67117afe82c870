"""Rules about symbol versions and undefined symbols of the file and of everything that it brings along."""

from __future__ import annotations

import os

from dlrepair.binary.elf import ElfError, open_elf, read_facts
from dlrepair.diagnose import mangled, rules_file, rules_shadow
from dlrepair.diagnose.facts import running_python
from dlrepair.diagnose.rule import Finding, Rule, fact
from dlrepair.diagnose.rules_search import rebuild_step
from dlrepair.diagnose.undefined import is_python, listed, names_of
from dlrepair.model.diagnosis import Evidence, Missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from dlrepair.diagnose.facts import Facts

_CXX_RUNTIME = ("libstdc++.so", "libgcc_s.so", "libc++.so")
_LIBC = (
    "libc.so",
    "libm.so",
    "libpthread.so",
    "libdl.so",
    "librt.so",
    "ld-linux",
    "libresolv.so",
    "libutil.so",
    "libcrypt.so",
)
MAX_SIBLINGS = 200

Gap = "tuple[str, str, str, str]"


def _wanted(facts: Facts, path: str, needed: str) -> tuple[str, ...]:
    elf = read_facts(path).elf
    return tuple(row[1] for row in elf.verneed if row[0] == needed) if elf is not None else ()


def _gap_missing(facts: Facts, gap: tuple[str, str, str, str]) -> tuple[Missing, ...]:
    """The dependency to be looked for again; none where the process holds the old one already (ld.so keeps it)."""
    path, needed, _version, provider = gap
    if provider in facts.view.loaded or needed.startswith(_LIBC):
        return ()
    return (Missing(needed, path, (), _wanted(facts, path, needed), provider),)


def _gap(kind: str) -> Callable[[Facts], Finding | None]:
    """The predicate for versions that a library lacks: of the C library, the C++ runtime, or another's."""

    def holds(facts: Facts) -> Finding | None:
        for gap in facts.gaps:
            needed = gap[1]
            libc = needed.startswith(_LIBC)
            runtime = needed.startswith(_CXX_RUNTIME)
            good = [] if libc else _with_version(facts, gap)
            own = "libc" if libc else "runtime" if runtime else "shadow" if good else "other"
            if own == kind:
                return Finding(gap[0], (gap, good), _gap_missing(facts, gap))
        return None

    return holds


def _with_version(facts: Facts, gap: tuple[str, str, str, str]) -> list[str]:
    """Other copies of the provider on ld.so's own way that define the version."""
    path, needed, version, provider = gap
    found = []
    for copy in facts.copies(needed, path, provider):
        elf = read_facts(copy).elf
        if elf is not None and version in elf.verdef:
            found.append(copy)
    return found


def _gap_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    (path, needed, version, provider), good = finding.detail
    elf = read_facts(provider).elf
    has = [name for name in (elf.verdef if elf is not None else ()) if name.split("_")[0] == version.split("_")[0]]
    newest = max(has, key=_order) if has else ""
    proof = [
        fact("needs-version", "{} needs version {} of {}".format(path, version, needed), version),
        fact(
            "provider",
            "{} does not define it{}".format(provider, "; its newest is " + newest if newest else ""),
            provider,
        ),
    ]
    if provider in facts.view.loaded:
        proof.append(
            fact("loaded", "{} is loaded already: ld.so uses it for every later load".format(provider), provider)
        )
    others = sorted({gap[2] for gap in facts.gaps if gap[3] == provider} - {version}, key=_order)
    if others:
        proof.append(fact("more-versions", "also not defined there: " + ", ".join(others[:8])))
    proof += [
        fact("good-copy", "{} defines it, but stands behind in the search".format(copy), copy) for copy in good[:5]
    ]
    return tuple(proof)


def _shadow_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    (path, needed, _, provider), good = finding.detail
    return (*_gap_evidence(facts, finding), *rules_shadow.ways(facts, needed, path, provider, good[0]))


def _shadow_step(facts: Facts, finding: Finding) -> str:
    return rules_shadow.step(finding.detail[1][0], finding.detail[0][3])


def _order(version: str) -> tuple[int, ...]:
    numbers = "".join(char if char in "0123456789" else " " for char in version).split()
    return tuple(int(number[:9]) for number in numbers)


def _runtime_step(facts: Facts, finding: Finding) -> str:
    good = finding.detail[1]
    if good:
        return "LD_LIBRARY_PATH={} python …".format(os.path.dirname(good[0]))
    if "conda" in finding.detail[0][3]:
        return "conda install -c conda-forge 'libstdcxx-ng>=12'"
    return "Build {} with the compiler of this system, or install a newer libstdc++6.".format(
        os.path.basename(finding.path)
    )


def _libc_step(facts: Facts, finding: Finding) -> str:
    package = rules_file.package_of(finding.path)
    if package:
        return "pip install --force-reinstall --no-binary {0} {0}".format(package)
    return "Build {} on this system: its C library cannot be replaced in a running process.".format(
        os.path.basename(finding.path)
    )


def _newer_step(facts: Facts, finding: Finding) -> str:
    return "dlrepair search {}".format(finding.detail[0][1])


def _symbols(facts: Facts, klass: str) -> list[tuple[str, Any]]:
    return [(path, one) for path, one in facts.unresolved if one.klass == klass and not is_python(one.name)]


def _python_symbols(facts: Facts) -> Finding | None:
    found = [(path, one) for path, one in facts.unresolved if is_python(one.name)]
    return Finding(found[0][0], found, (), names_of(list(facts.unresolved))) if found else None


def _python_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    proof = listed(finding)
    proof.append(fact("python", "Python {} does not define them".format(running_python()), running_python()))
    tag = tag_of(os.path.basename(finding.path))
    if tag and tag != own_tag():
        proof.append(fact("tag", "its name says {}, this is {}".format(tag, own_tag()), tag))
    return tuple(proof)


def _module_init(facts: Facts) -> Finding | None:
    """An extension without the entry that this Python calls (PEP 489: PyInit_NAME)."""
    if facts.symptom.kind != "python-abi" or facts.path is None or facts.file.elf is None:
        return None
    name = os.path.basename(facts.path).split(".")[0]
    try:
        with open_elf(facts.path) as elf:
            if elf.defines("PyInit_" + name):
                return None
            entries = sorted(one for one in elf.exported() if one.startswith(("PyInit_", "init" + name)))[:5]
    except (OSError, ElfError):
        return None
    return Finding(facts.path, (name, entries))


def _module_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    name, entries = finding.detail
    there = ", ".join(entries) if entries else "no entry of a Python module"
    return (fact("no-entry", "{} does not define PyInit_{}; it has {}".format(finding.path, name, there), there),)


def tag_of(name: str) -> str:
    """``cpython-37`` for ``x.cpython-37m-x86_64-linux-gnu.so``; "" where the name has no tag (PEP 3149)."""
    for part in name.split("."):
        if part.startswith(("cpython-", "pypy3", "cp3", "cp2")):
            words = part.split("-")
            if words[0] == "cpython" and len(words) > 1:
                return "cpython-" + words[1].rstrip("dmut")
            return words[0]
    return ""


def own_tag() -> str:
    """The tag of the running interpreter, as ``tag_of`` writes it."""
    import sys

    return (sys.implementation.cache_tag or "").rstrip("dmut")


def _of_class(klass: str) -> Callable[[Facts], Finding | None]:
    """The predicate for undefined symbols of which ``binary.symbols`` knows where they belong."""

    def holds(facts: Facts) -> Finding | None:
        found = _symbols(facts, klass)
        return Finding(found[0][0], found, (), names_of(list(facts.unresolved))) if found else None

    return holds


def _unlinked(facts: Facts) -> Finding | None:
    """Symbols that a library beside the file, or one that is loaded, defines, and which nothing linked with it."""
    found = _symbols(facts, "link")
    if found:
        return Finding(found[0][0], found, (), names_of(list(facts.unresolved)))
    rest = _symbols(facts, "other")
    if not rest:
        return None
    path = rest[0][0]
    provider = _sibling(path, {one.name for _path, one in rest})
    if not provider:
        return None
    return Finding(path, rest, (), names_of(rest)) if _note(rest, provider) else None


def _note(rest: list[tuple[str, Any]], provider: str) -> bool:
    for _path, one in rest:
        if not one.provider_hint:
            one.provider_hint = provider
    return True


def _sibling(path: str, names: set[str]) -> str:
    """A library in the directory of ``path`` (or in ``lib`` or ``../lib`` beside it) that defines all of ``names``."""
    directory = os.path.dirname(path)
    seen = 0
    for place in (directory, os.path.join(directory, "lib"), os.path.join(os.path.dirname(directory), "lib")):
        try:
            entries = sorted(os.listdir(place))
        except OSError:
            continue
        for entry in entries:
            other = os.path.join(place, entry)
            if ".so" not in entry or seen >= MAX_SIBLINGS or os.path.realpath(other) == os.path.realpath(path):
                continue
            seen += 1
            try:
                with open_elf(other) as elf:
                    if all(elf.defines(name) for name in names):
                        return other
            except (OSError, ElfError):
                continue
    return ""


def _needed_names(path: str) -> tuple[str, ...]:
    elf = read_facts(path).elf
    return elf.needed if elf is not None else ()


def _link_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    proof = listed(finding)
    needed = _needed_names(finding.path)
    proof.append(fact("needed", "its DT_NEEDED entries are: {}".format(", ".join(needed) or "none"), ", ".join(needed)))
    hints = dict.fromkeys(one.provider_hint for _path, one in finding.detail if one.provider_hint)
    for hint in list(hints)[:4]:
        if os.path.basename(hint) not in needed:
            proof.append(
                fact("not-linked", "{} defines them and is not among its DT_NEEDED entries".format(hint), hint)
            )
    return tuple(proof)


def _class_evidence(facts: Facts, finding: Finding) -> tuple[Evidence, ...]:
    return tuple(listed(finding))


def _is_tensorflow(finding: Finding) -> bool:
    return any(mangled.family(name).startswith("tensorflow") or "4absl" in name for name in finding.symbols)


_COMPILE = (
    "g++ -shared -fPIC -O2 SOURCES -o {} $(python -c 'import tensorflow as tf; "
    "print(*tf.sysconfig.get_compile_flags(), *tf.sysconfig.get_link_flags())')"
)


def _link_step(facts: Facts, finding: Finding) -> str:
    if _is_tensorflow(finding):
        return _COMPILE.format(os.path.basename(finding.path))
    hint = next((one.provider_hint for _path, one in finding.detail if one.provider_hint), "")
    if hint:
        return "Link it again with {} behind the objects: g++ -shared … {}".format(os.path.basename(hint), hint)
    return "Link {} again with the library that defines {}.".format(os.path.basename(finding.path), finding.symbols[0])


def _abi_step(facts: Facts, finding: Finding) -> str:
    if _is_tensorflow(finding):
        return _COMPILE.format(os.path.basename(finding.path))
    new = any(mangled.is_new_abi(name) for name in finding.symbols)
    return "Compile {} again with -D_GLIBCXX_USE_CXX11_ABI={}".format(os.path.basename(finding.path), 0 if new else 1)


def _release_step(facts: Facts, finding: Finding) -> str:
    package = rules_file.package_of(finding.path)
    if package:
        return "pip install --upgrade {}".format(package)
    if _is_tensorflow(finding):
        return _COMPILE.format(os.path.basename(finding.path))
    return "Build {} again against the libraries of this system.".format(os.path.basename(finding.path))


def _unclassified(facts: Facts) -> Finding | None:
    found = list(facts.unresolved)
    return Finding(found[0][0], found, (), names_of(found)) if found else None


RULES = (
    Rule("the C library is too old", "libc-too-old", _gap("libc"), _gap_evidence, _libc_step),
    Rule("the C++ runtime is too old", "libstdcxx-too-old", _gap("runtime"), _gap_evidence, _runtime_step),
    Rule("an outdated copy before a good one", "search-path", _gap("shadow"), _shadow_evidence, _shadow_step),
    Rule("a library is older than its user", "symbol-version-missing", _gap("other"), _gap_evidence, _newer_step),
    Rule("symbols of another Python", "python-abi", _python_symbols, _python_evidence, rebuild_step),
    Rule("no entry for this Python", "python-abi", _module_init, _module_evidence, rebuild_step),
    Rule(
        "a copy without the symbols before a good one", "search-path", rules_shadow.wrong_copy,
        rules_shadow.wrong_copy_evidence, rules_shadow.wrong_copy_step,
    ),
    Rule(
        "symbols of another release", "undefined-symbol-version", _of_class("version"), _class_evidence, _release_step
    ),
    Rule("symbols of the other C++ ABI", "undefined-symbol-abi", _of_class("abi"), _class_evidence, _abi_step),
    Rule("not linked with what defines its symbols", "undefined-symbol-link", _unlinked, _link_evidence, _link_step),
)

#: When the loader's words are about a symbol and no rule above knows where it belongs.
LAST = Rule("undefined symbols of unknown origin", "unknown", _unclassified, _class_evidence, _link_step)
