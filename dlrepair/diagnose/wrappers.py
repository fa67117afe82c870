"""What Python, its packages and shells say around a loader's words, or instead of them."""

from __future__ import annotations

from dlrepair.diagnose import text as cut
from dlrepair.diagnose.text import Found

#: A process that died: (words, fact).
_DEATHS = (
    ("llegal instruction", "illegal"), ("SIGILL", "illegal"), ("exit code 132", "illegal"),
    ("invalid opcode", "illegal"),
    ("Bus error", "bus"), ("SIGBUS", "bus"), ("exit code 135", "bus"),
    ("Segmentation fault", "crash"), ("SIGSEGV", "crash"), ("exit code 139", "crash"), ("0xC0000005", "crash"),
    ("free(): invalid pointer", "heap"), ("double free", "heap"), ("free invalid pointer", "heap"),
    ("munmap_chunk", "heap"), ("stack smashing detected", "heap"), ("corrupted double-linked list", "heap"),
    ("malloc(): ", "heap"), ("corrupted size vs. prev_size", "heap"),
    ("terminate called", "crash"), ("SIGABRT", "crash"), ("exit code 134", "crash"),
    ("Floating point exception", "crash"), ("pure virtual method called", "crash"), ("Trace/breakpoint trap", "crash"),
    ("Fatal Python error: Aborted", "crash"), ("(core dumped)", "crash"),
)  # fmt: skip

_MEMORY = ("std::bad_alloc", "Cannot allocate memory", "out of memory", "MemoryError")


def scan(text: str) -> list[Found]:
    """What wrappers, interpreters and shells say in a text."""

    from dlrepair.diagnose.sentences import SENTENCES

    found = []
    for keyword, pattern, kind, weight, fact in SENTENCES:
        near = cut.search_near(pattern, text, keyword)
        if near is None:
            continue
        match, start = near
        groups = match.groupdict()
        obj = cut.strip_marks(groups.get("obj") or "")
        missing = groups.get("missing") or ""
        if kind == "not-found" and "missing" not in groups:
            missing = cut.base_name(obj)
        item = Found(kind, obj, missing, start + match.start(), weight, "", state=fact)
        if fact == "export":
            item.obj = obj
        if fact == "start":
            item.platform, item.facts = "glibc", {}
        if fact == "spoken":
            name, _, number = missing.rpartition(" ")
            item.missing = name.split(" ")[0].upper() + "_" + number.lstrip("v")
        if fact == "dotnet":
            _quoted_by_dotnet(item, text[start + match.end() :][:2000])
        found.append(item)
    if not found and "NotFoundError" in text:
        name = _any_library(text)
        if name:
            found.append(Found("not-found", name, cut.base_name(name), text.find(name), 3, "", state="bare"))
    spoken = text.replace("llegal Instruction", "llegal instruction")
    spoken = spoken.replace("segmentation fault", "Segmentation fault")  # zsh
    for words, fact in _DEATHS:
        at = spoken.find(words)
        if at >= 0:
            found.append(Found("initializer", _any_library(text, _OF_LIBC), None, at, 3, "", state=fact))
            break
    for words in _MEMORY:
        name = _any_library(text) if words in text and "CUDA out of memory" not in text else None
        if name:
            found.append(Found("no-memory", name, None, text.find(words), 2, ""))
            break
    return found


def _quoted_by_dotnet(item: Found, behind: str) -> None:
    """What the loader said to .NET: of the library itself, under one of the names that were tried, or of another."""
    from dlrepair.diagnose import dyld, glibc

    asked = _stem(item.obj or "")
    quoted = [one for one in glibc.scan(behind) + dyld.scan(behind) if one.kind == "not-found" and one.missing]
    if quoted and _stem(quoted[0].missing or "") not in (asked, "lib" + asked):
        item.missing = quoted[0].missing
        item.facts["state"] = "either-opened"
    elif (quoted and quoted[0].platform == "dyld") or asked in _WITHOUT_VERSION:
        item.facts["state"] = "absent"


#: Parts of the C library: their names have a version in every system without a compiler's files.
_WITHOUT_VERSION = ("dl", "pthread", "rt", "m", "c", "util", "resolv")


def _stem(name: str) -> str:
    """``foo`` of ``/a/libfoo.so.1``."""
    base = cut.base_name(name)
    for mark in (".so", ".dylib", ".dll"):
        base = base.split(mark)[0]
    return base[3:] if base.startswith("lib") and not base.startswith("liblib") else base.replace("liblib", "", 1)


#: The innermost frames of a backtrace: where the process died, not what brought it there.
_OF_LIBC = ("libc.so", "libc-2", "libpthread", "libm.so", "libdl.so", "ld-linux")


def _any_library(text: str, but: tuple[str, ...] = ()) -> str | None:
    """The first library that a text names whose name begins with none of ``but``; the very first where all do."""
    import re

    first = None
    for match in re.finditer(r"(?<![\w@./\\:~+-])[\w@./\\:~+-]*\.(?:so(?:\.\d+)*|dylib|dll|pyd)\b", text):
        name = match.group(0).lstrip(":")
        first = first or name
        if not but or not cut.base_name(name).startswith(but):
            return name
    return first


#: Sentences that name what was being loaded, before the message about what it needs.
_OPENER = (
    (
        r"(?:[Ff]ailed to load|[Cc]ould not load|[Ee]rror loading|[Uu]nable to load|[Ll]oading|[Cc]annot load)"
        r"(?: the)?(?: \w+){0,3}?[: ]['\"`( ]{0,3}(?P<obj>[^\s'\"`:()]+\.(?:so(?:\.\d+)*|dylib|dll|node|pyd))"
    ),
    r"[Ll]oad library (?P<obj>\S+) failed",
    (
        r"(?:[Cc]ouldn't|[Cc]ould not|[Cc]annot|[Uu]nable to|[Ff]ailed to) import "
        r"(?!module\b|the\b)['\"`]?(?P<obj>\w[\w.]*\w)"
    ),
    r"Unable to import required dependencies:\s+(?P<obj>\w+):",
)


def context(text: str, pos: int, missing: str | None) -> str | None:
    """The library or module being loaded, as the lines around a message that does not name it tell.

    In order: ``Load library X failed``, the last source line of a traceback (an import statement or
    a load call with a literal), the command of ``python -c``. None when nothing does.
    """
    import re

    start = text.rfind("\n", 0, pos) + 1
    before = text[start:pos][:2000]
    opener = cut.opener(before, missing)
    if opener:
        return opener
    behind = re.search(r" - (?P<obj>/[^\s:]+\.(?:so|bundle|node|o)\b[^\s:(]*)", cut.line_of(text, pos)[-4000:])
    if behind and cut.base_name(behind.group("obj")) != missing:  # Ruby's LoadError: WORDS - FILE (LoadError)
        return behind.group("obj")
    if start > 1:
        before = cut.line_of(text, start - 2)[:2000] + " " + before
    for pattern in _OPENER:
        match = re.search(pattern, before)
        if match and cut.base_name(match.group("obj")) != missing:
            return cut.strip_marks(match.group("obj"))
    return _source_line(text[:pos], missing) or _in_command(text[:pos]) or _in_prose(text, pos, missing)


#: What a file says of itself; where something was not found, another name than the failing one may stand in the text.
_OF_ONE_FILE = ("wrong-class", "bad-header", "too-short", "not-shared", "code-signature", "execstack")


def alone(text: str, found: Found) -> str | None:
    """The only library that a short text names, for a message that has none of its own."""
    import re

    if found.platform == "windows" and "DLL load failed" in text:  # Python 3.3 to 3.7 do not say what they import
        module = re.search(r"No module named '?(\w[\w.]{0,200})", text)
        return module.group(1) if module else None
    if found.kind not in _OF_ONE_FILE or len(text) > 4000:
        return None
    named = r"(?<![\w@./\\:~+-])[\w@./\\:~+-]{1,200}\.(?:so(?:\.\d+)*|dylib|dll|pyd)\b"
    names = set(re.findall(named, text))
    if len(names) > 1:  # "a and b are reported as ...": the first of them
        listed = re.findall(named, text[text.rfind("\n", 0, found.pos) + 1 : found.pos][-1000:])
        return str(listed[0]) if listed else None
    return names.pop() if names else None


def asked_of_ldd(before: str) -> str | None:
    """The file whose libraries the last ``ldd FILE`` in a shell's lines lists."""
    import re

    asked = re.findall(r"\bldd (?:-\w+ )*([^\s|;&<>-][^\s|;&<>]*)", before[-4000:])
    return str(asked[-1]) if asked else None


def file_of(module: str, text: str) -> str | None:
    """The path of the module that is being imported, where a text names it, too."""
    import re

    name = module.rsplit(".", 1)[-1]
    if len(text) > 4000 or not name.isidentifier():
        return None
    match = re.search(r"(?<![\w@./\\:~+-])/[\w@./~+-]{1,400}/" + re.escape(name) + r"(?:\.[\w-]+)?\.so\b(?!:)", text)
    return match.group(0) if match else None


def _in_prose(text: str, pos: int, missing: str | None) -> str | None:
    """The one library that the line names before the message, where somebody tells what was said."""
    import re

    line = text[text.rfind("\n", 0, pos) + 1 : pos][-1000:]
    names = set(re.findall(r"(?<![\w@./\\:~+-])[\w@./\\:~+-]{1,200}\.(?:so(?:\.\d+)*|dylib|dll|pyd)\b", line))
    return names.pop() if len(names) == 1 and cut.base_name(min(names)) != missing else None


_IMPORT = (
    r"(?:from\s+(?P<source>\.*[\w.]*)\s+import\s+(?P<names>\(?[\w*]*)"
    r"|import\s+(?P<module>[\w.]+)"
    r"|[^\n]*?\b(?:load_module|import_module|load_dynamic)\(\s*['\"](?P<literal>[\w.]+)['\"]"
    r"|[^\n]*?\b(?:CDLL|LoadLibrary|load_op_library|load_library|dlopen)\(\s*u?['\"](?P<path>[^'\"\n]+)['\"]"
    r"|[^\n]*?(?P<call>\b_?(?:CDLL|LoadLibrary|load_op_library|load_library|dlopen)\())"
)


def _source_line(before: str, missing: str | None) -> str | None:
    """What the last source line of a traceback loads: the module of an import, the literal of a call."""
    import re

    last = None
    named = None
    before = before[-20000:]
    arrows = re.search(r"(?m)^ {0,8}-{2,6}> ?\d", before) is not None
    for line in before.split("\n"):
        if arrows and re.match(r"[ \t]{0,12}\d{1,6} ", line[:24]):
            continue  # IPython shows the lines around the one that was run
        match = re.match(r"(?:[-> ]{0,8}\d{1,6} )?[ \t]{0,80}(?:b?['\"(]{1,2})?" + _IMPORT, line[:400])
        if match:
            last = match
            named = match.group("path") or named
    if last is None:
        return None
    if last.group("call") or last.group("path"):
        return str(named) if named and cut.base_name(named) != missing else None
    if last.group("module") or last.group("literal"):
        return str(last.group("module") or last.group("literal"))
    source, name = last.group("source").lstrip("."), last.group("names").lstrip("(")
    if not source:
        return name if name not in ("*", "") else None
    if name.startswith("_") and not source.rsplit(".", 1)[-1].startswith("_"):
        return source + "." + name
    return source


def _in_command(before: str) -> str | None:
    """The module that a shell's ``python -c "import …"`` loads."""
    import re

    match = re.search(r"python[\d.]*\s+-c\s+['\"](?:[^'\"\n]*;)?\s*(?:import|from)\s+(?P<obj>[\w.]+)", before)
    return match.group("obj") if match else None
