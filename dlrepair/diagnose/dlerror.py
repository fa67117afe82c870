"""What a loader's words say, and no more: ``parse(text)`` -> ``Symptom``.

One module a loader (``glibc``, ``musl``, ``dyld``, ``windows``; ``elsewhere`` for Android, the BSDs, Solaris and
AIX), one for TensorFlow's log messages, one for what Python and its packages wrap around them. Each ``scan``s the
text for its own messages; the one that tells most is taken, and ``ranking`` orders the causes that it leaves open.

The usual one-line message of glibc takes a short way that needs neither ``re`` nor the other modules.
"""

from __future__ import annotations

from dlrepair.diagnose import glibc, ranking
from dlrepair.diagnose import text as cut
from dlrepair.diagnose.text import Found
from dlrepair.model.diagnosis import Symptom

#: The symptom of a request that carries no words of a loader.
NO_WORDS = Symptom("unknown", None, None, (), "")

#: Exception names in a text -> loader.
_BY_EXCEPTION = (
    ("NotFoundError", "tensorflow"),
    ("ImportError", "import"),
    ("ModuleNotFoundError", "import"),
    ("OSError", "ctypes"),
)


def parse(text: str, loader: str = "") -> Symptom:
    """The symptom that ``text`` tells: kind, failing object, missing thing, possible causes.

    ``loader`` is the door through which the library was to enter (``dlrepair.model.requests.LOADERS``),
    "" when unknown: then the exception's name in the text tells. Never raises; a text without any
    loader's words gives kind ``unknown``.
    """
    if not loader:
        loader = next((name for words, name in _BY_EXCEPTION if words in text), "")
    elif loader in ("load_op_library", "load_library"):
        loader = "tensorflow"
    found = _plain(text) or _pasted(text)
    if found is None:
        return Symptom("unknown", None, None, ("unknown",), "")
    causes = ranking.rank(found, text, loader)
    return Symptom(found.kind, found.obj, found.missing, causes, found.platform)


def _plain(text: str) -> Found | None:
    """The message of a text that is nothing else but one line of glibc; None: take the long way."""
    if len(text) > 4000 or "\n" in text or "\\" in text or "dlerror" in text or "ibrary" in text or not text.isascii():
        return None
    if any(mark in text for mark in ("[", "&#", " import ", "directory_")):  # colours, italics
        return None
    found = glibc.scan(text)
    if len(found) != 1:
        return None
    only = found[0]
    if only.obj is None or any(mark in only.obj for mark in " <>[]()|'\"") or not _is_whole(only):
        return None
    program = only.facts.get("program")
    if program and any(mark in program for mark in "\"'[]:"):
        return None
    if only.kind == "not-found" and not cut.is_path(only.obj):
        only.obj = program or cut.opener(text[: only.pos], only.missing) or only.obj
    return only


def _is_whole(found: Found) -> bool:
    """Whether nothing of a message seems to be lost to a line break."""
    if found.kind in ("undefined-symbol", "version-not-found") and found.platform in ("glibc", "dyld", "musl"):
        if not found.missing or (found.kind == "version-not-found" and not found.facts.get("needer", "-")):
            return False
        if found.kind == "undefined-symbol" and "_Z" in found.missing:
            from dlrepair.diagnose import mangled

            return not mangled.is_cut(found.missing)
        return True
    if found.platform != "glibc":
        return found.obj is not None or found.facts.get("state") == "symbol"
    return cut.is_library(found.obj) or cut.is_library(found.missing)


def _pasted(text: str) -> Found | None:
    """The most telling message of any loader in a text as people paste it."""
    from dlrepair.diagnose import paste, prefixes, unwrap

    raw = prefixes.unmarked(paste.readable(text))
    lines = paste.bare(raw)
    whole = unwrap.at_width(lines) if unwrap.has_prefixes(raw, lines) else paste.bare(unwrap.at_width(raw))
    best = None
    paths = unwrap.in_paths(whole)
    first = (paths,) if paths != whole else ()
    for other in dict.fromkeys(
        (*first, whole, unwrap.at_width(lines), unwrap.at_words(lines), lines, unwrap.flattened(lines))
    ):
        again = _best(other)
        if again is not None and (best is None or _value(again) > _value(best)):
            best = again
    if best is None or not _is_whole(best) or best.weight <= 4:
        for other in paste.joined(lines):
            again = _best(other)
            if again is not None and (best is None or _value(again) > _value(best)):
                best = again
    if best is None or best.weight <= 3:
        best = _translated(lines) or best
    if best is None:
        recased = paste.recased(lines)
        best = _best(recased) if recased != lines else None
    if best is None and "`" in lines:  # pieces of a message set as code
        best = _best(lines.replace("`", ""))
    return best


def _value(found: Found) -> int:
    value = found.weight + 6 * _is_whole(found) + 2 * bool(found.missing)
    if found.kind == "not-found" and found.missing:
        value += cut.base_name(found.obj or "") != cut.base_name(found.missing)
    return value + 2 * cut.is_library(found.obj) + bool(found.obj) + bool(found.facts.get("needer"))


def _best(text: str) -> Found | None:
    """The message that tells most: an exception's before a log's, a symbol before "not found"."""
    from dlrepair.diagnose import dyld, elsewhere, musl, tensorflow, windows, wrappers

    found = tensorflow.scan(text) + glibc.scan(text) + musl.scan(text) + dyld.scan(text) + windows.scan(text)
    found += elsewhere.scan(text) + wrappers.scan(text)
    best = None
    best_value = -1
    for item in found:
        value = item.weight * 4 + 8 * _in_exception(text, item.pos)
        value += 2 * bool(item.obj) + 2 * bool(item.missing)
        if value > best_value:
            best, best_value = item, value
    if best is not None:
        _complete(best, text)
    return best


def _in_exception(text: str, pos: int) -> bool:
    """Whether the line of a message begins with an exception's name or continues one."""
    begin = text.rfind("\n", 0, pos) + 1
    head = text[begin : min(pos + 60, begin + 120)]
    if len(text) > begin + 120:  # a long path may stand between the exception's name and the words
        head += " " + text[max(begin, pos - 300) : pos]
    return "Error:" in head or "Exception:" in head or "Original error was" in head or "caused by" in head


def _complete(found: Found, text: str) -> None:
    """Add the object that the lines around a message name, where the message itself names none."""
    from dlrepair.diagnose import wrappers

    bare = found.kind == "not-found" and found.platform == "glibc" and not cut.is_path(found.obj)
    program = found.facts.get("program")
    if found.obj is None or (bare and found.obj == found.missing and not found.facts.get("opened")):
        pos = found.pos
        if found.facts.get("state") == "numpy":  # printed before the traceback: the import comes behind it
            pos = max(pos, text.find("multiarray failed to import", pos))
        around = wrappers.context(text, pos, found.missing) or wrappers.alone(text, found)
        if program and bare:
            around = program
        if around:
            found.obj = wrappers.file_of(around, text) or around
    if found.facts.get("state") == "export" and found.obj and "." not in found.obj:  # from package.obj import ...
        around = wrappers.context(text, found.pos, found.missing) or ""
        found.obj = around if around.endswith("." + found.obj) else found.obj
    if found.facts.get("where") == "ldd" and found.obj == found.missing:
        found.obj = wrappers.asked_of_ldd(text[: found.pos]) or found.obj
    name = cut.base_name(found.obj or "")
    lost = found.kind == "not-found" and found.missing and found.missing != name and name.endswith(found.missing)
    if lost and name.startswith("lib"):  # the end of the same name: a line break cut it
        found.missing = name


def _translated(text: str) -> Found | None:
    """The message in another language of glibc's, its fixed words put back into English."""
    from dlrepair.diagnose import locales

    english = locales.to_english(text)
    return _best(english) if english != text else None
