"""Messages of macOS dyld: the old wording (``image not found``) and the one since macOS 12 (``tried: …``)."""

from __future__ import annotations

from dlrepair.diagnose import mangled
from dlrepair.diagnose import text as cut
from dlrepair.diagnose.text import Found

#: dlopen(PATH, MODE): the path may hold commas and parentheses, so the number closes it.
_DLOPEN = r"dlopen\((?P<obj>[^\n]{1,4096}?),\s*(?:0x[0-9A-Fa-f]+|\d+)\s*\)"
_NEEDER = (
    r"Referenced from:\s*(?:<[0-9A-Fa-f?-]+>\s*)?(?P<needer>[^\n]+?)"
    r"(?=\s*(?:\((?:which was )?(?:built for|compatibility)[^)\n]*\)?)?\s*(?:\n|$|Reason:|Expected in:|in /))"
)
_BUILT_FOR = r"\((?:which was )?built for (?P<os>[^)\n]+)"
_EXPECTED = r"Expected in:\s*(?:<[0-9A-Fa-f?-]+>\s*)?(?P<where>[^\n]+)"
_LIBRARY = (
    r"(?:(?:Library |(?=not loaded: [^\n]*\.(?:dylib|framework)))not loaded:|Library not [Ll]oaded:?(?=\s{1,4}[/@]))"
    r"\s*(?P<lib>[^\n]+?)(?=\s*(?:\n|$|Referenced from:|Reason:|'\)|\\n))"
)
_SYMBOL = r"[Ss]ymbol not found(?: in flat namespace)?:?\s*[('\u2018]*(?P<symbol>[^\s'()\u2019,]+)"
_TRIED = r"'(?P<path>[^']+)'\s*\((?P<reason>(?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)"
_NOT_VALID = r"'(?P<path>[^'\n]+)' not valid for use in process"
_UNKNOWN_COMMAND = r"cannot load '(?P<path>[^'\n]+)' \((?P<reason>load command 0x[0-9A-Fa-f]+ is unknown)\)"
_DID_FIND = r"Did find:\s*(?P<path>[^\n]+?):\s(?P<reason>[^\n]+)"

#: (words in a reason, symptom kind), most telling first.
_REASONS = (
    ("code signature", "code-signature"),
    ("code signing", "code-signature"),
    ("library load disallowed", "code-signature"),
    ("not valid for use in process", "code-signature"),
    ("eam IDs", "code-signature"),
    ("different team IDs", "code-signature"),
    ("incompatible platform", "bad-header"),
    ("built for '", "bad-header"),
    ("incompatible architecture", "wrong-class"),
    ("wrong architecture", "wrong-class"),
    ("missing compatible arch", "wrong-class"),
    ("no matching architecture", "wrong-class"),
    ("incompatible cpu", "wrong-class"),
    ("is unknown", "bad-header"),
    ("duplicate LC_", "bad-header"),
    ("not a mach-o", "bad-header"),
    ("unknown file type", "bad-header"),
    ("object is not mach-o", "bad-header"),
    ("slice is not valid", "bad-header"),
    ("file too short", "too-short"),
    ("is not a dylib", "not-shared"),
    ("not a dylib", "not-shared"),
    ("sandbox blocked", "permission"),
    ("relative path not allowed", "permission"),
    ("errno=13", "permission"),
    ("errno=1)", "permission"),
    ("errno=1\n", "permission"),
    ("ermission denied", "permission"),
    ("peration not permitted", "permission"),
    ("Incompatible library version", "version-not-found"),
    ("errno=12", "no-memory"),
    ("not a file", "not-found"),
    ("no such file", "not-found"),
    ("image not found", "not-found"),
)

#: Words that no other loader uses, and words without which there is no message of dyld.
_UNMISTAKABLE = ("dyld", "mach-o", "code sign", "not valid for use in process",
                 "different Team IDs", "different team IDs")  # fmt: skip
_KEYWORDS = (*_UNMISTAKABLE, "dlopen(", "ymbol not found", "not loaded:", "Library not ", "tried: '")


def kind_of(reason: str) -> str:
    """The symptom kind that a reason of dyld stands for, or ``unknown``."""
    for words, kind in _REASONS:
        if words in reason:
            return kind
    return "unknown"


def scan(text: str) -> list[Found]:
    """The messages of dyld in a text; each ``dlopen(…)`` begins one."""
    if not any(words in text for words in _KEYWORDS):
        return []
    if "Error relocating " in text and "dlopen(" not in text:  # musl's words
        return []
    starts = _starts(text) or [0]
    found = _cut_off(text)
    for index, start in enumerate(starts[:32]):
        end = starts[index + 1] if index + 1 < len(starts) else len(text)
        item = _block(text[start:end], start)
        if item is not None:
            found.append(item)
    return found


def _starts(text: str) -> list[int]:
    """Where a ``dlopen(PATH, MODE)`` begins, the first few."""
    import re

    found: list[int] = []
    at = text.find("dlopen(")
    for _ in range(64):
        if at < 0:
            break
        if re.match(_DLOPEN, text[at : at + 4200]):
            found.append(at)
        at = text.find("dlopen(", at + 7)
    return found


def _cut_off(text: str) -> list[Found]:
    """``dlopen(PATH`` where the paste ends within the path or behind it: what is wrong with it was not copied."""
    import re

    end = re.search(
        r"dlopen\((?P<obj>/[^\n()'\",]{3,4000})(?:,[ 0-9A-Fa-fx]{0,12})?\Z", text[-4200:].rstrip(" .\n`*\u2026")
    )
    return (
        [Found("unknown", end.group("obj"), None, len(text), 3, "dyld", opened=end.group("obj"), cut="yes")]
        if end
        else []
    )


def _block(block: str, start: int) -> Found | None:
    import re

    block = block[:40000]
    opened = re.match(_DLOPEN, block)
    obj = cut.strip_marks(opened.group("obj")) if opened else ""
    needer_match = re.search(_NEEDER, block)
    needer = cut.strip_marks(needer_match.group("needer")) if needer_match else ""
    ends = needer_match is not None and not block[needer_match.end() :].strip(" \n`'\"")
    if obj.startswith(needer) or (
        obj and ends and not cut.is_library(needer) and ".framework" not in needer and "/MacOS/" not in needer
    ):
        needer = ""  # cut off
    built = re.search(_BUILT_FOR, block)
    facts = {"needer": needer, "opened": obj, "built_for": built.group("os") if built else ""}
    symbol = re.search(_SYMBOL, block)
    named = symbol is not None and (bool(obj or needer) or symbol.group("symbol").startswith("_"))
    if symbol and named and not symbol.group("symbol").startswith("Referenced"):
        name = mangled.join_cut(symbol.group("symbol"), block[symbol.end("symbol") :])
        expected = re.search(_EXPECTED, block)
        facts["expected"] = expected.group("where").strip() if expected else ""
        if "flat namespace" in symbol.group(0):
            facts["expected"] = "flat namespace"
        before = "" if needer or obj else cut.object_before(block, symbol.start()) or ""
        named_before = before if cut.is_library(before) else ""
        return Found("undefined-symbol", needer or obj or named_before, name, start, 10, "dyld", **facts)
    if "missing symbol called" in block:  # dyld 4: a function that was bound to nothing is called
        return Found("undefined-symbol", needer or obj, None, start, 6, "dyld", **facts)
    library = re.search(_LIBRARY, block)
    if library:
        return _library(
            block, cut.strip_marks(library.group("lib").rstrip(" .\u2026\"'`,")), needer or obj, start, facts
        )
    return _refused(block, obj, start, facts)


def _library(block: str, lib: str, needer: str, start: int, facts: dict[str, str]) -> Found:
    """``Library not loaded: LIB``: absent, or there and refused; the reason tells."""
    reasons = _tried(block)
    kind, path, reason = _most_telling(reasons)
    if not reasons:
        at = block.find("Reason:")
        reason = block[at:].split("\n")[0] if at >= 0 else "image not found"
        kind = kind_of(reason)
    facts = dict(facts, reason=reason, library=lib)
    missing = cut.base_name(lib) if lib.startswith("@") else lib
    if not facts["opened"] and not cut.is_library(needer):
        needer = lib  # a program at its start: dyld's own subject is the library
    if kind in ("not-found", "unknown"):
        return Found("not-found", needer or lib, missing, start, 9, "dyld", **facts)
    if kind == "version-not-found":
        return Found(kind, needer or lib, cut.base_name(lib), start, 9, "dyld", **facts)
    return Found(kind, path or lib, None, start, 9, "dyld", **facts)


def _refused(block: str, obj: str, start: int, facts: dict[str, str]) -> Found | None:
    """The library that was asked for is absent or refused."""
    reasons = _tried(block)
    kind, path, reason = _most_telling(reasons)
    if not reasons:
        import re

        kind, reason = kind_of(block[:4000]), block[:200]
        refused = re.search(_UNKNOWN_COMMAND, block[:4000]) or re.search(_NOT_VALID, block[:4000])
        if refused:
            path, reason = refused.group("path"), refused.group(0)[-200:]
            kind = kind_of(reason)
        if kind == "unknown" and not obj:
            return None
        known = any(words in block for words in _UNMISTAKABLE) or refused
        if kind != "unknown" and not obj and not known:
            return None
    facts = dict(facts, reason=reason)
    if kind == "not-found":
        name = obj or path
        return Found("not-found", name, cut.base_name(name), start, 7, "dyld", **facts)
    failing = path or obj
    if not failing:
        at = max(block.find(": mach-o"), block.find(": code signature"))
        failing = cut.object_before(block, at) or "" if at > 0 else ""
    return Found(kind, failing, None, start, 9 if kind != "unknown" else 3, "dyld", **facts)


def _tried(block: str) -> list[tuple[str, str]]:
    """(path, reason) of every place that dyld says it tried."""
    import re

    at = block.find("tried:")
    if at >= 0:
        found = re.finditer(_TRIED, block[at : at + 20000] + ")))")  # the last one may be cut off
        return [(m.group("path").replace("\n", ""), m.group("reason").replace("\n", "")) for m in found]
    return [(m.group("path").strip(), m.group("reason")) for m in re.finditer(_DID_FIND, block[:20000])]


def _most_telling(reasons: list[tuple[str, str]]) -> tuple[str, str, str]:
    """(kind, path, reason) of the place whose reason says most; not-found only when all say so."""
    best = ("unknown", "", "")
    for path, reason in reasons:
        kind = kind_of(reason)
        if kind not in ("not-found", "unknown"):
            return kind, path, reason
        if best[0] == "unknown":
            best = (kind, path, reason)
    return best
