"""Messages of glibc's ld.so (elf/dl-load.c, dl-lookup.c, dl-version.c, dl-reloc.c, dl-tls.c) and of GNU ld.

``scan`` needs no ``re``: this is what a failing load runs through.
"""

from __future__ import annotations

from dlrepair.diagnose import text as cut
from dlrepair.diagnose.text import Found

#: (words, symptom kind, weight). The object stands before the words, on the same line.
PHRASES = (
    ("cannot open shared object file", "not-found", 6),
    ("invalid ELF header", "bad-header", 9),
    ("wrong ELF class", "wrong-class", 9),
    ("file too short", "too-short", 9),
    ("cannot read file data", "cannot-read", 9),
    ("failed to map segment from shared object", "map-failed", 9),
    ("cannot map segment", "map-failed", 8),
    ("cannot enable executable stack", "execstack", 9),
    ("cannot allocate memory in static TLS block", "static-tls", 9),
    ("cannot load any more object with static TLS", "static-tls", 9),
    ("cannot handle TLS data", "static-tls", 9),
    ("only ET_DYN and ET_EXEC can be loaded", "not-shared", 9),
    ("object file has no dynamic section", "not-shared", 9),
    ("object file has no loadable segments", "not-shared", 9),
    ("shared object cannot be dlopen()ed", "not-shared", 9),
    ("cannot dynamically load executable", "executable", 9),
    ("cannot dynamically load position-independent executable", "executable", 9),
    ("ELF file OS ABI invalid", "bad-header", 9),
    ("ELF file ABI version invalid", "bad-header", 9),
    ("ELF file version", "bad-header", 8),
    ("ELF file data encoding not", "bad-header", 9),
    ("ELF file's phentsize not the expected size", "bad-header", 9),
    ("ELF load command", "bad-header", 9),
    ("nonzero padding in e_ident", "bad-header", 9),
    ("unexpected reloc type", "bad-header", 9),
    ("unexpected PLT reloc type", "bad-header", 9),
    ("rebuild shared object with", "bad-header", 8),
    ("unsupported hash", "bad-header", 7),
    ("unsupported version", "bad-header", 7),
    ("cannot restore segment prot after reloc", "permission", 9),
    ("cannot make segment writable for relocation", "permission", 9),
    ("cannot apply additional memory protection after relocation", "permission", 9),
    ("cannot change memory protections", "map-failed", 8),
    ("cannot stat shared object", "permission", 8),
    ("cannot map zero-fill pages", "no-memory", 9),
    ("cannot allocate memory for program header", "no-memory", 9),
    ("cannot create shared object descriptor", "no-memory", 9),
    ("cannot create TLS data structures", "no-memory", 9),
    ("cannot allocate TLS data structures", "no-memory", 9),
    ("cannot allocate symbol data", "no-memory", 9),
    ("cannot allocate dependency list", "no-memory", 9),
    ("cannot create search path array", "no-memory", 9),
    ("CPU ISA level is lower than required", "initializer", 9),
    ("error adding symbols: File in wrong format", "wrong-class", 8),
    ("file not recognized: File format not recognized", "bad-header", 8),
    ("undefined symbol", "undefined-symbol", 10),
    ("undefined reference to", "undefined-symbol", 7),
    ("not defined in file", "undefined-symbol", 10),
    ("=> not found", "not-found", 6),
)

#: Symbol versions that stand for themselves: nothing else is called so.
_VERSIONS = ("GLIBC_", "GLIBCXX_", "CXXABI_", "GCC_", "OPENSSL_")

#: The system's word behind "cannot open shared object file" -> symptom kind.
_ERRNO = (
    ("Permission denied", "permission"),
    ("Operation not permitted", "permission"),
    ("Too many levels of symbolic links", "link-loop"),
    ("Cannot allocate memory", "no-memory"),
    ("Too many open files", "cannot-read"),
    ("Input/output error", "cannot-read"),
    ("Stale file handle", "cannot-read"),
    ("Stale NFS file handle", "cannot-read"),
)


def scan(text: str) -> list[Found]:
    """Every message of glibc in a text, in the order of the table, not of the text."""
    found = []
    for words, kind, weight in PHRASES:
        at = text.find(words)
        count = 0
        while at >= 0 and count < 64:
            item = _one(text, at, words, kind, weight)
            if item is not None:
                found.append(item)
            count += 1
            at = text.find(words, at + len(words))
    found.extend(_versions(text))
    found.extend(_preloads(text))
    return found or _cut_off(text)


#: Fewer letters of a phrase tell nothing.
_ENOUGH = 16


def _cut_off(text: str) -> list[Found]:
    """The message that a title or a box cut off in the middle of its words."""
    text = text.rstrip(" \t\n.\u2026'\"`)")
    for words, kind, weight in PHRASES:
        for size in range(len(words) - 1, _ENOUGH - 1, -1):
            if text.endswith(words[:size]):
                item = _one(text, len(text) - size, words, kind, weight) if kind != "undefined-symbol" else None
                return [item] if item is not None and item.obj else []
    return []


def _preloads(text: str) -> list[Found]:
    """``object 'X' from LD_PRELOAD cannot be preloaded (WHY): ignored`` (elf/rtld.c); WHY is there since glibc 2.19."""
    found = []
    words = " cannot be preloaded"
    at = text.find(words)
    for _ in range(16):
        if at < 0:
            break
        begin = text.rfind("object ", max(0, at - 4200), at)
        obj = cut.strip_marks(text[begin + 7 : at].split(" from ")[0]) if begin >= 0 else ""
        why = text[at + len(words) : at + 200].split(": ignored")[0].strip(" ()")
        kind = next((kind for phrase, kind, _ in PHRASES if phrase in why), "not-found")
        if obj:
            missing = cut.base_name(obj) if kind == "not-found" else None
            found.append(Found(kind, obj, missing, begin, 11, "glibc", state="preload", reason=why))
        at = text.find(words, at + 1)
    return found


def _one(text: str, at: int, words: str, kind: str, weight: int) -> Found | None:
    end = at + len(words)
    if words == "not defined in file":
        return _not_defined_in(text, at)
    if kind == "undefined-symbol":
        return _reference(text, at, end) if words.startswith("undefined ref") else _undefined(text, at, end, weight)
    obj = cut.object_before(text, at)
    tail = text[end : end + 80].lstrip(" :")
    if not obj and tail.startswith("("):  # in a title: the name behind the words
        named = cut.strip_marks(text[end : end + 4096].lstrip(" (").split("\n")[0].split(")")[0])
        obj = named if cut.is_library(named) else None
    if words == "=> not found":
        name = obj
        return Found("not-found", obj, cut.base_name(name) if name else None, at, weight, "glibc", where="ldd")
    if words == "cannot load any more object with static TLS" and obj == "dlopen":
        obj = None
    if words.startswith("cannot open shared"):
        at_start = ": error while loading shared libraries" in text[text.rfind("\n", 0, at) + 1 : at]
        for errno_words, errno_kind in _ERRNO:
            if tail.startswith(errno_words):
                kind, weight = errno_kind, weight if at_start else 9  # two programs' failures: the first
                break
    if obj and obj.isalpha() and text[at - 1 : at] in ("'", '"', "`") and text[:at].rstrip("'\"` ").endswith(obj):
        obj = None  # somebody quotes the words in a sentence
    if obj and obj.isalpha() and obj.islower() and not text[:at].rstrip().endswith(":"):
        obj = None  # "it shows invalid ELF header": the verb
    found = Found(kind, obj, None, at, weight, "glibc", reason=tail.split("\n")[0][:60], words=words)
    if kind == "not-found" and obj:
        found.missing = cut.base_name(obj)
    if words.startswith("cannot open shared") and not obj:
        found.weight = 3
    _note_program(text, at, found)
    return found


def _note_program(text: str, at: int, found: Found) -> None:
    """Keep the program of ``PROGRAM: error while loading shared libraries: …`` (elf/rtld.c)."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    words = ": error while loading shared libraries"
    mark = line.find(words)
    if mark > 0:
        found.facts["program"] = cut.strip_marks(line[:mark].rsplit(": ", 1)[-1].split(" ")[-1])
        if line[mark + len(words) :].strip() == ":":  # no library is named: it is the program itself
            found.obj = found.facts["program"]


def _undefined(text: str, at: int, end: int, weight: int) -> Found | None:
    if text.startswith("s ", end) or text.startswith("s\n", end):  # "undefined symbols", in prose: none is named
        return Found("undefined-symbol", _object(text, at), None, at, weight - 4, "glibc")
    symbol = cut.word_after(text, end)
    if symbol in ("in", "reference", "found", "errors", "error", "when", "and"):
        return None
    obj = _object(text, at)
    if obj and obj.endswith(("lookup error", "ImportError", "error")):
        begin = text.rfind(": symbol lookup error", max(0, at - 40), at)
        obj = cut.object_before(text, begin) if begin > 0 else None
        if obj == "error":  # what LD_DEBUG=all writes: "L: error: symbol lookup error: …"
            obj = cut.object_before(text, text.rfind(": error", 0, begin))
    begin = text.find(symbol, end) if symbol else end
    behind = text[begin + len(symbol) :]
    if symbol:
        from dlrepair.diagnose import mangled

        whole = mangled.join_cut(symbol, behind)
        if whole != symbol:
            symbol, behind = whole, ""
    version = ""
    stripped = behind.lstrip(" ")
    if stripped.lstrip("\t").startswith("(/"):  # ldd -r: the object comes behind
        obj = cut.strip_marks(stripped.lstrip("\t")[1:4096].split("\n")[0].split(")")[0])
    if stripped.startswith(", version"):
        version = cut.word_after(stripped, len(", version"))
    missing = symbol + "@" + version if version else symbol
    return Found("undefined-symbol", obj, missing, at, weight, "glibc", version=version)


def _object(text: str, at: int) -> str | None:
    """The object before words that also stand in prose: a word is one only before a colon, and no time or level is."""
    obj = cut.object_before(text, at)
    if obj is None or cut.is_library(obj) or cut.is_path(obj):
        return obj
    if ": symbol lookup error: " in text[text.rfind("\n", 0, at) + 1 : at][-600:]:
        return obj  # a program, whatever its name looks like
    head = text[max(0, at - 40) : at].rstrip()
    if head.endswith(",") and obj.startswith("_") and obj[1:2].isalpha():
        return obj  # "Import error _ext, undefined symbol": no word of prose begins so
    spoken = not head.endswith(":") or head[-2:-1] in "])}" or ":" in obj or obj.isdigit() or obj.isupper()
    return None if spoken else obj


def _reference(text: str, at: int, end: int) -> Found | None:
    """``X: undefined reference to `S'`` of GNU ld, where S may be demangled."""
    start = end
    if text.startswith(" symbol ", end):  # `S' is in a library that was not named on the command line
        start += len(" symbol ")
    while start < len(text) and text[start] in " `'\"":
        start += 1
    if text[start - 1 : start] == " " and "(" not in cut.word_after(text, start):  # in prose: a word
        named = cut.word_after(text, start)
        return Found("undefined-symbol", _object(text, at), named, at, 7, "glibc") if named else None
    stop = min((found for found in (text.find(mark, start) for mark in "'\"\n") if found >= 0), default=len(text))
    symbol = text[start:stop].strip()
    if not symbol:
        return None
    return Found("undefined-symbol", cut.object_before(text, at), symbol[:2000], at, 7, "glibc")


def _not_defined_in(text: str, at: int) -> Found | None:
    """``X: symbol S[,] version V not defined in file F with link time reference`` (elf/dl-lookup.c)."""
    start = text.rfind("symbol ", 0, at)
    if start < 0 or at - start > 4000:
        return None
    middle = text[start + len("symbol ") : at]
    symbol, _, version = middle.partition("version")
    symbol, version = symbol.strip().strip(",").strip(), version.strip()
    provider = cut.word_after(text, at + len("not defined in file"))
    missing = symbol + "@" + version if version else symbol
    obj = _object(text, start)
    return Found("undefined-symbol", obj, missing, start, 10, "glibc", version=version, provider=provider)


def _versions(text: str) -> list[Found]:
    """``LIB: version `V' not found (required by X)`` (elf/dl-version.c), whatever the quotes."""
    found = []
    at = text.find("version ")
    count = 0
    while at >= 0 and count < 64:
        count += 1
        item = _version(text, at)
        if item is not None:
            found.append(item)
        at = text.find("version ", at + 8)
    return found


def _version(text: str, at: int) -> Found | None:
    version = cut.word_after(text, at + len("version "))
    begin = text.find(version, at + 8) if version else -1
    if begin < 0 or begin - at > 40:
        return None
    tail = text[begin + len(version) : begin + len(version) + 40].lstrip("'`\"\u2019\u2018 ")
    if not tail.startswith("not found"):
        return None
    provider = _object(text, at)
    needer = ""
    by = text.find("required by", begin, begin + len(version) + 60)
    if by >= 0:
        stop = text.find(")", by)
        line_end = text.find("\n", by)
        if stop < 0 or 0 <= line_end < stop:
            stop = line_end if line_end >= 0 else len(text)
        needer = cut.strip_marks(text[by + len("required by") : stop])
    if not needer and not cut.is_library(provider) and not version.startswith(_VERSIONS):
        return None
    return Found(
        "version-not-found", needer or provider, version, at, 10, "glibc", provider=provider or "", needer=needer
    )
