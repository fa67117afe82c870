"""What Python, its packages and shells say around a loader's words, or instead of them."""

from __future__ import annotations

from dlrepair.diagnose import text as cut
from dlrepair.diagnose.text import Found

#: (pattern, kind, weight, fact); groups ``obj`` and ``missing`` where the sentence names them.
_SENTENCES = (
    (r"dynamic module does not define (?:module export|init) function \(?(?P<missing>(?:PyInit_|PyInitU_|init)(?P<obj>\w+))",
     "python-abi", 9, "export"),
    (r"module compiled against (?:API|ABI) version (?P<missing>\w+)", "python-abi", 8, "numpy"),
    (r"compiled using NumPy 1\.x cannot be run in\s+NumPy 2", "python-abi", 8, "numpy"),
    (r"(?P<obj>[\w.]+)\.\w+ size changed, may indicate binary incompatibility", "python-abi", 8, "numpy"),
    (r"Module use of (?P<obj>python\d+\.dll) conflicts with this version of Python", "python-abi", 9, "python"),
    (r"[Mm]odule was compiled for (?:Python )?version (?P<missing>[\d.]+)", "python-abi", 8, "python"),
    (r"bad magic number in '?(?P<obj>[\w.]+)", "python-abi", 7, "python"),
    (r"Extension (?P<module>[\w.]+) has not been built: (?P<obj>\S+) not found", "not-found", 8, "file"),
    (r"(?P<obj>[^\s'\"(]+\.(?:so(?:\.\d+)*|dylib|pyd)) not found", "not-found", 4, "file"),
    (r"\((?P<obj>[^\s()]+\.so[.\d]*)\) [^\n]{0,40}shared object file: No such file or directory", "not-found", 7, "file"),
    (r"No such file or directory: b?['\"](?P<obj>[^'\"\n]+\.(?:so[.\d]*|dylib|dll|pyd))['\"]", "not-found", 6, "file"),
    (r"trap invalid opcode in (?P<obj>\S+?\.so[.\d]*)", "initializer", 7, "illegal"),
    (r"Cannot load (?P<obj>[\w.+-]+\.(?:so|dylib|dll)[.\d]*) (?:or|nor|and) (?P<other>[\w.+-]+\.(?:so|dylib|dll)[.\d]*)",
     "not-found", 7, "either"),
    (r"cannot find -l(?P<obj>:?[\w.+-]+)", "not-found", 5, "linker"),
    (r"skipping incompatible (?P<obj>\S+) when searching for", "wrong-class", 6, "linker"),
    (r"(?:Unable|unable|Failed|failed|Could not|could not|Cannot|cannot|Couldn't|couldn't)(?: to)? (?:find|locate|load|open|dlopen) "
     r"(?:the |a )?(?:dynamic |shared |native )?(?:library |libraries |lib )?['\"`]?(?P<obj>[\w@./~+-]+\.(?:so(?:\.\d+)*|dylib|dll))\b",
     "not-found", 5, "file"),
    (r"(?:Unable|unable|Failed|failed|Could not|could not|Cannot|cannot|Couldn't|couldn't)(?: to)? (?:find|locate|load) "
     r"(?:the |a )?['\"`]?(?P<obj>[\w.+-]+)['\"`]? (?:shared |dynamic |native |C )*(?:library|libraries)\b", "not-found", 5, "library"),
    (r"(?P<obj>[\w.+-]+) (?:shared )?library (?:was )?not found", "not-found", 4, "library"),
    (r"\u65e0\u6cd5\u627e\u5230 ?(?P<obj>[\w.+-]+) ?\u5171\u4eab\u5e93", "not-found", 5, "library"),
    (r"Library (?P<obj>[\w.+-]+) (?:is )?not found", "not-found", 4, "library"),
    (r"No module named '?(?P<obj>[\w.]+)'?", "not-found", 2, "module"),
    (r"cannot import name '?(?P<obj>_\w+)'?", "not-found", 2, "module"),
    (r"Error importing (?P<obj>numpy|scipy|pandas|\w+): you should not try to import \w+ from", "unknown", 2, "source-tree"),
)  # fmt: skip

#: A process that died: (words, fact).
_DEATHS = (
    ("Illegal instruction", "illegal"), ("SIGILL", "illegal"), ("exit code 132", "illegal"), ("invalid opcode", "illegal"),
    ("Bus error", "bus"), ("SIGBUS", "bus"), ("exit code 135", "bus"),
    ("Segmentation fault", "crash"), ("SIGSEGV", "crash"), ("exit code 139", "crash"), ("0xC0000005", "crash"),
    ("free(): invalid pointer", "heap"), ("double free", "heap"), ("free invalid pointer", "heap"), ("munmap_chunk", "heap"),
    ("malloc(): ", "heap"), ("corrupted size vs. prev_size", "heap"),
    ("terminate called", "crash"), ("SIGABRT", "crash"), ("exit code 134", "crash"),
)  # fmt: skip

_MEMORY = ("std::bad_alloc", "Cannot allocate memory", "out of memory", "MemoryError")


def scan(text: str) -> list[Found]:
    """What wrappers, interpreters and shells say in a text."""
    import re

    found = []
    for pattern, kind, weight, fact in _SENTENCES:
        match = re.search(pattern, text)
        if not match:
            continue
        groups = match.groupdict()
        obj = cut.strip_marks(groups.get("obj") or "")
        missing = groups.get("missing") or ""
        if kind == "not-found" and not missing:
            missing = cut.base_name(obj)
        item = Found(kind, obj, missing, match.start(), weight, "", state=fact)
        if fact == "export":
            item.obj = obj
        found.append(item)
    if not found and "NotFoundError" in text:
        name = _any_library(text)
        if name:
            found.append(Found("not-found", name, cut.base_name(name), text.find(name), 3, "", state="bare"))
    for words, fact in _DEATHS:
        at = text.find(words)
        if at >= 0:
            found.append(Found("initializer", _any_library(text), None, at, 3, "", state=fact))
            break
    for words in _MEMORY:
        if words in text:
            found.append(Found("no-memory", _any_library(text), None, text.find(words), 2, ""))
            break
    return found


def _any_library(text: str) -> str | None:
    import re

    match = re.search(r"[\w@./\\:~+-]*[\w+-]+\.(?:so(?:\.\d+)*|dylib|dll|pyd)\b", text)
    return match.group(0).lstrip(":") if match else None


def context(text: str, pos: int, missing: str | None) -> str | None:
    """The library or module being loaded, as the lines around a message that does not name it tell.

    In order: ``Load library X failed``, ``X:`` of a program, the last import statement of a traceback,
    the literal argument of the last load call of a traceback. None when nothing does.
    """
    import re

    line = cut.line_of(text, pos)
    before = line[: max(0, pos - (text.rfind("\n", 0, pos) + 1))]
    for pattern in (
        r"(?:[Ff]ailed to load|[Cc]ould not load|[Ee]rror loading|[Uu]nable to load|[Ll]oading|[Cc]annot load)"
        r"(?: the)?(?: \w+){0,3}? ['\"`(]?(?P<obj>[^\s'\"`:()]+\.(?:so(?:\.\d+)*|dylib|dll|node|pyd))",
        r"[Ll]oad library (?P<obj>\S+) failed",
    ):
        match = re.search(pattern, before)
        if match and cut.base_name(match.group("obj")) != missing:
            return cut.strip_marks(match.group("obj"))
    return _imported(text[:pos]) or _called(text[:pos], missing) or _in_command(text[:pos])


def _imported(before: str) -> str | None:
    """The module that the last import statement of a traceback loads."""
    import re

    matches = list(
        re.finditer(
            r"^(?:[-> ]*\d+ )?\s*(?:from\s+(?P<source>\.*[\w.]*)\s+import\s+(?P<names>\(?[\w*]+)|import\s+(?P<module>[\w.]+))",
            before,
            re.M,
        )
    )
    if not matches:
        return None
    last = matches[-1]
    if last.group("module"):
        return last.group("module")
    source, name = last.group("source").lstrip("."), last.group("names").lstrip("(")
    if not source:
        return name if name != "*" else None
    if name.startswith("_") and not source.rsplit(".", 1)[-1].startswith("_"):
        return source + "." + name
    return source


def _called(before: str, missing: str | None) -> str | None:
    """The literal that the last load call of a traceback names."""
    import re

    matches = re.findall(
        r"(?:CDLL|LoadLibrary|load_op_library|load_library|dlopen|load_file_system_library)\(\s*['\"]([^'\"\n]+)['\"]",
        before,
    )
    if matches and cut.base_name(matches[-1]) != missing:
        return str(matches[-1])
    return None


def _in_command(before: str) -> str | None:
    """The module that a shell's ``python -c "import …"`` loads."""
    import re

    match = re.search(r"python[\d.]*\s+-c\s+['\"](?:[^'\"\n]*;)?\s*(?:import|from)\s+(?P<obj>[\w.]+)", before)
    return match.group("obj") if match else None
