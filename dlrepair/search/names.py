"""Names under which a wanted library may lie.

Names only propose: ``vet`` decides from the file. The rules and their order come from a survey of
distinct names in real call sites and build recipes. A token of a TensorFlow version or a hash is part
of the stem, so only an equal one matches; ``_cpu``, ``_gpu`` and ``_cuda`` twins change device or
numerics: they are proposed, and taken where the setting ``twins`` consents.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

AFFIXES = ("_op", "_ops", "_so", "_kernel", "_kernels", "_module")

#: What one deviation from the exact name costs when candidates are ranked; a rule is a ``+``-joined list of these.
COSTS = {
    "exact": 0,
    "python-suffix": 4,
    "platform-suffix": 4,
    "lib-prefix": 6,
    "soname-version": 8,
    "underscore": 10,
    "affix": 12,
    "python-tag": 14,
    "soname": 8,
    "content": 30,
    "twin": 40,
}

#: Two deviations at most: a name changed in three places belongs to another library.
MAX_CHANGES = 2

#: Words, and beginnings of words that end in a number, that tell builds of one library apart: device, release.
_BUILDS = frozenset(("cpu", "gpu", "cuda", "nocuda", "nogpu", "rocm", "hip", "mps", "tpu", "server", "debug", "dbg"))
#: of these, the ones that a name gets or loses: builds for another device or purpose
_TWINS = ("cpu", "gpu", "cuda", "server", "debug")
_NUMBERED = ("", "cu", "cuda", "cudnn", "rocm", "sm", "py", "cp", "tf", "v", "avx", "sse")

#: Words that say nothing about a library by themselves: a stem is never cut down to one of them.
_GENERIC = frozenset(
    ("op", "ops", "so", "lib", "libs", "module", "kernel", "kernels", "core", "custom", "user", "main", "build", "test")
)

#: File name endings of shared libraries on other platforms.
_FOREIGN = (".dylib", ".dll", ".pyd")


def extension_suffixes() -> tuple[str, ...]:
    """Return this interpreter's suffixes of extension modules, e.g. ``.cpython-311-x86_64-linux-gnu.so`` (PEP 3149)."""
    import _imp

    return tuple(suffix for suffix in _imp.extension_suffixes() if suffix.endswith(".so"))


def split(name: str) -> tuple[str, str, str, str]:
    """Return (stem, Python tag, extension, version) of a file name; all but the stem may be empty.

    ``libfoo.so.1.2`` gives ("libfoo", "", ".so", "1.2"),
    ``foo.cpython-37m-x86_64-linux-gnu.so`` gives ("foo", "cpython-37m-x86_64-linux-gnu", ".so", "").
    """
    at = name.rfind(".so")
    if at > 0:
        rest = name[at + 3 :]
        if not rest or (rest[0] == "." and rest[1:].split(".")[0].isdigit()):
            stem, tag = _split_tag(name[:at])
            return stem, tag, ".so", rest[1:]
    for extension in _FOREIGN:
        if name.endswith(extension) and len(name) > len(extension):
            stem, tag = _split_tag(name[: -len(extension)])
            head, dot, number = stem.partition(".")
            if extension == ".dylib" and dot and number.replace(".", "").isdigit():
                return head, tag, extension, number
            return stem, tag, extension, ""
    return name, "", "", ""


def _split_tag(stem: str) -> tuple[str, str]:
    head, dot, tag = stem.rpartition(".")
    if dot and head and tag.startswith(("cpython-", "abi3", "pypy", "graalpy", "cp3")):
        return head, tag
    return stem, ""


def major(version: str) -> str:
    """Return the first number of a version, "" of none."""
    return version.split(".")[0]


def is_library_name(name: str) -> bool:
    """Tell whether a file name looks like a shared library's on this platform."""
    return ".so" in name and split(name)[2] == ".so"


def variants(name: str, loader: str, role: str = "substitute", exact: bool = False) -> list[tuple[str, str]]:
    """Return (name, rule) pairs, best first, starting with the exact one.

    Version suffixes are open-ended and not listed: ``Names.match`` knows them. For ``import`` the
    stem is fixed, because ``PyInit_<stem>`` is; for a dependency the SONAME decides, so only its
    own version ladder is proposed.
    """
    name = name.rsplit("/", 1)[-1]
    found: dict[str, str] = {}
    if not name or name in (".", ".."):
        return []
    found[name] = "exact"
    if exact:
        return list(found.items())
    stem, tag, extension, version = split(name)
    if role == "dependency":
        if version:
            found.setdefault(stem + ".so", "soname-version")
        return list(found.items())
    if loader == "import":
        if extension in (".so", ".pyd", ".dylib"):
            for suffix in extension_suffixes():
                found.setdefault(stem + suffix, "python-suffix")
        return list(found.items())
    pairs = []
    for changed, rules in _stems(stem):
        for ending, more in _endings(tag, extension, version):
            steps = rules + more
            if len([step for step in steps if step != "platform-suffix"]) <= MAX_CHANGES:
                pairs.append((sum(COSTS[step] for step in steps), changed + ending, "+".join(steps) or "exact"))
    pairs.sort(key=lambda pair: pair[0])
    pairs += [
        (0, changed + ending, "+".join(("twin", *more)))
        for changed in _twins(stem) for ending, more in _endings(tag, extension, version)[:1]
    ]  # fmt: skip
    for _, changed, rule in pairs:
        found.setdefault(changed, rule)
    return list(found.items())


def _endings(tag: str, extension: str, version: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return (what follows the stem, rules) pairs."""
    if extension and extension != ".so":
        plain = ".so" + ("." + version if version else "")
        pairs: list[tuple[str, tuple[str, ...]]] = [(plain, ("platform-suffix",))]
        if tag:
            pairs += [(suffix, ("platform-suffix", "python-suffix")) for suffix in extension_suffixes()]
        return pairs
    if not extension:
        return [("", ()), (".so", ("platform-suffix",))]
    if version:
        return [(".so." + version, ()), (".so", ("soname-version",))]
    own = "." + tag + ".so" if tag else ".so"
    return [(own, ())] + [(suffix, ("python-suffix",)) for suffix in extension_suffixes() if suffix != own]


def _stems(stem: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return (stem, rules) pairs: prefixes and affixes added or dropped, at most ``MAX_CHANGES`` of them."""
    lib = stem.startswith("lib") and _says_something(stem[3:].strip("_"))
    rest = stem[3:] if lib else stem
    under = rest.startswith("_") and _says_something(rest[1:])
    rest = rest[1:] if under else rest
    affix = ""
    for one in sorted(AFFIXES, key=len, reverse=True):
        if rest.endswith(one) and _says_something(rest[: -len(one)]):
            affix = one
            break
    rest = rest[: -len(affix)] if affix else rest
    tensorflow = rest.startswith("tf_") and _says_something(rest[3:])
    rest = rest[3:] if tensorflow else rest
    pairs = []
    for has_lib in (lib, not lib):
        for has_under in (under, not under):
            for has_tf in (tensorflow, not tensorflow):
                for has_affix in ("",) + AFFIXES:
                    rules = (
                        (("lib-prefix",) if has_lib != lib else ())
                        + (("underscore",) if has_under != under else ())
                        + (("affix",) if has_tf != tensorflow else ())
                        + (("affix",) if has_affix != affix else ())
                    )
                    if len(rules) <= MAX_CHANGES:
                        head = ("lib" if has_lib else "") + ("_" if has_under else "") + ("tf_" if has_tf else "")
                        pairs.append((head + rest + has_affix, rules))
    return pairs


def _twins(stem: str) -> list[str]:
    """Return the stems of the same library's builds for other devices and purposes."""
    affix = next((one for one in sorted(AFFIXES, key=len, reverse=True) if stem.endswith(one)), "")
    head = stem[: -len(affix)] if affix else stem
    found = []
    for whole, tail in {stem: "", head: affix}.items():
        own = next((mark for mark in _TWINS if whole.endswith("_" + mark)), "")
        bare = whole[: -len(own) - 1] if own else whole
        if _says_something(bare):
            found += [bare + tail] if own else []
            found += [bare + "_" + mark + tail for mark in _TWINS if mark != own]
    return found


def _says_something(stem: str) -> bool:
    if stem.lower() in _GENERIC or sum(char.isalpha() for char in stem) < 2:
        return False
    return not stem.startswith(("tf_", "lib")) or len(stem) > 4


def is_twin(one: str, other: str) -> bool:
    """Tell whether two names are one library's, built for two devices, releases or versions, or two hashes' of it."""
    core, marks = _told_apart(one)
    return bool(core) and (core, marks) != _told_apart(other) and core == _told_apart(other)[0]


def may_be_taken(one: str, other: str) -> bool:
    """Tell whether two twins are of one release and version, so that a user's consent to other builds holds of them."""
    marks = [[mark for mark in _told_apart(name)[1] if mark not in _TWINS] for name in (one, other)]
    return marks[0] == marks[1]


def _told_apart(name: str) -> tuple[list[str], list[str]]:
    """Return (words of a file name that name the library, words that tell its builds apart, the version included)."""
    stem, _, _, version = split(name)
    words = "".join(char if char.isalnum() else " " for char in stem.lower()).split()
    if words and words[0].startswith("lib") and len(words[0]) > 3:
        words[0] = words[0][3:]
    core = [word for word in words if not _tells_builds_apart(word)]
    marks = [word for word in words if _tells_builds_apart(word)] + [version]
    return [word for word in core if "_" + word not in AFFIXES and word not in ("tf", "lib")], marks


def _tells_builds_apart(word: str) -> bool:
    head = word.rstrip("0123456789")
    if word in _BUILDS or (head != word and head in _NUMBERED):
        return True
    return len(word) >= 8 and head != "" and not word.strip("0123456789abcdef") and any(one.isdigit() for one in word)


def word(stem: str) -> str:
    """Return what names a library in its stem, for directories that are named like it; "" where that says nothing."""
    core = stem[3:] if stem.startswith("lib") else stem
    core = core[3:] if core.startswith("tf_") else core
    affix = next((one for one in sorted(AFFIXES, key=len, reverse=True) if core.endswith(one)), "")
    core = core[: -len(affix)] if affix else core
    return core if len(core) > 2 and core.lower() not in _GENERIC and _says_something(core) else ""


def is_plain(rule: str) -> bool:
    """Tell whether a rule holds far from the program too: what only looks like the wanted name is another's there."""
    return "affix" not in rule and "underscore" not in rule and "twin" not in rule


def cost(rule: str) -> int:
    """Return what a rule costs in ranking: 0 of ``exact``, more the further a name is from the one asked for."""
    return sum(COSTS.get(step, 20) for step in rule.split("+"))


class Names:
    """Decides by which rule a file name may stand for the wanted one; one dictionary look-up for most files."""

    def __init__(self, name: str, loader: str, role: str = "substitute", exact: bool = False) -> None:
        self.name = name.rsplit("/", 1)[-1]
        self.exact = exact
        self.fixed = exact or role == "dependency" or loader == "import"
        pairs = variants(self.name, loader, role, exact)
        self.table: dict[str, str] = dict(pairs)
        self.stem, self.tag, self.extension, self.version = split(self.name)
        self._ladder = not exact and loader != "import" and self.extension in (".so", ".dylib") and not self.tag
        self._stems: dict[str, str] = {}
        if not self.fixed:
            for stem, rules in sorted(_stems(self.stem), key=lambda pair: len(pair[1])):
                if len(rules) < MAX_CHANGES:
                    self._stems.setdefault(stem, rules[0] if rules else "")
        elif self._ladder:
            self._stems[self.stem] = ""

    def match(self, filename: str) -> str | None:
        """Return the rule by which ``filename`` may be the wanted library, or None."""
        rule = self.table.get(filename)
        if rule is not None or self.exact or ".so" not in filename:
            return rule
        stem, tag, extension, version = split(filename)
        if extension != ".so" or stem not in self._stems:
            return None
        change = self._stems[stem]
        if version and not tag and self._ladder:
            if self.version and major(self.version) != major(version):
                return None
            return change + "+soname-version" if change else "soname-version"
        if tag and not version and not self.fixed:
            # Another Python's tag: only a library without Python symbols can serve, ``vet`` looks.
            return change + "+python-tag" if change else "python-tag"
        return None

    def stems(self) -> list[str]:
        """Return the stems (see ``split``) of every file name that ``match`` may accept."""
        return list({split(name)[0]: None for name in self.table}) + list(self._stems)

    def plain(self) -> list[tuple[str, str]]:
        """Return the (name, rule) pairs that are tried in directories of the system: no affixes."""
        return [(name, rule) for name, rule in self.table.items() if is_plain(rule)]
