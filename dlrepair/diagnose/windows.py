"""Messages of Windows' loader, as Python, cffi, TensorFlow and message boxes pass them on."""

from __future__ import annotations

from dlrepair.diagnose import text as cut
from dlrepair.diagnose.text import Found

#: Windows error code -> symptom kind (Microsoft, "System Error Codes").
_CODES = {
    2: "not-found", 3: "not-found", 126: "not-found", 14001: "not-found", 1157: "not-found",
    127: "undefined-symbol", 182: "undefined-symbol",
    193: "bad-header", 216: "wrong-class", 11: "bad-header", 191: "bad-header", 192: "bad-header", 129: "wrong-class",
    1114: "initializer", 998: "initializer", 5: "permission", 32: "permission", 225: "permission",
    8: "no-memory", 14: "no-memory", 1455: "no-memory", 1450: "no-memory",
    577: "code-signature", 1260: "code-signature", 4551: "code-signature", 1625: "code-signature",
}  # fmt: skip

#: Codes that speak of any file or device as well, and words that tell that a library is meant.
_ANYTHING = frozenset((2, 3, 5, 8, 11, 14, 32, 225, 998, 1157, 1450, *range(1626, 4550), *range(4552, 20000)))
_OF_LIBRARIES = ("dll", "Dll", "DLL", ".pyd", "LoadLibrary", "Error loading", "cannot load library", "while importing",
                 ".so", ".node", "ctypes")  # fmt: skip


def _speaks_of_libraries(text: str) -> bool:
    return any(word in text for word in _OF_LIBRARIES)


#: NTSTATUS of a crash inside a DLL's own code.
_CRASHES = (
    "3221225477",
    "3221225501",
    "0xC0000005",
    "0xc0000005",
    "-1073741819",
    "-1073741795",
    "0xC000001D",
    "0xc000001d",
    "0xc0000409",
)

_NAMES = (
    r'Error loading "(?P<obj>[^"\n]+)"',
    r"Could not find module '(?P<obj>[^'\n]+)'",
    r"DLL load failed(?: with error code -?\d+)? while importing (?P<obj>[\w.]+)",
    r"Unable to load (?:DLL|shared library) '(?P<obj>[^'\n]+)'",
    r"Error loading Python DLL:? ['\"]?(?P<obj>[^'\"\n]+?\.dll)",
    r"DLL load failed: [^\n]{5,200}\.: (?P<obj>[A-Za-z_][\w.]*)[ \t]*(?:\n|$)",
    r"cannot load library '(?P<obj>[^'\n]+)': error 0x",
    r"[Ff]ailed to load (?:library |DLL )?['\"]?(?P<obj>[\w:\\/. -]+\.(?:dll|pyd))",
    r"LoadLibrary(?:Ex)?[AW]?\(?['\" ]*(?:failed )?(?:for|with|:)?\s*['\"]?(?P<obj>[\w:\\/.-]+\.(?:dll|pyd))",
)

#: Sentences that name the DLL which is absent.
_ABSENT = (
    r"because (?P<lib>[\w.+-]+\.(?:dll|DLL)) (?:was not found|is missing)",
    r"Could not find '(?P<lib>[^'\n]+\.dll)'",
    r"(?:Library|library) (?P<lib>[\w.+-]+\.dll) is not found",
    r"dlerror: (?P<lib>[\w.+-]+\.dll) not found",
    r"(?<![\w.+-])(?P<lib>[\w.+-]+\.dll)'? (?:not found|could not be found|cannot be found|could not be loaded)",
    r"Could not (?:load|dlopen) (?:dynamic )?library '(?P<lib>[^'\n]+\.dll)'",
    r"(?:Could|could) not locate (?P<lib>[\w.+-]+\.dll)",
)


def scan(text: str) -> list[Found]:
    """The messages of Windows' loader in a text."""
    import re

    found: list[Found] = []
    entry = _entry_point(text)
    if entry is not None:
        return [entry]
    module = re.search(r"Could not find module '(?P<obj>[^'\n]+)'", text)
    if module:
        name = module.group("obj")
        return [Found("not-found", name, cut.base_name(name), module.start(), 9, "windows", where="module")]
    code, at = _code(text)
    if code in _ANYTHING and not _speaks_of_libraries(text):
        code = 0
    if code:
        found.append(_with_code(text, code, at))
    if not found or found[0].kind == "unknown":
        for keyword in (".dll", ".DLL"):
            near = next(filter(None, (cut.search_near(pattern, text, keyword) for pattern in _ABSENT)), None)
            if near:
                name = near[0].group("lib")
                found.append(Found("not-found", name, cut.base_name(name), near[1] + near[0].start(), 8, "windows"))
                break
    if not found and "DLL load failed" in text:
        found.append(_with_code(text, 0, text.find("DLL load failed")))
    return found


def _code(text: str) -> tuple[int, int]:
    """(Windows error code, position); (0, 0) without one."""
    import re

    from dlrepair.diagnose.windows_words import WORDS

    lowered = text.lower().replace("initialis", "initializ")
    for words, code in WORDS:
        at = lowered.find(words.lower())
        if at >= 0:
            return code, at
    for pattern in (
        r"\[?WinError (\d+)\]?",
        r"\[Error (\d+)\]",
        r"[Ww]indows error:? (\d+)",
        r"LoadLibrary\w*[^\n]{0,160}?error (?:code )?(\d+)",
        r"\.dll'?:? \(error code (\d+)\)",
    ):
        match = re.search(pattern, text)
        if match:
            return int(match.group(1)[:6]), match.start()
    match = re.search(r"cannot load library '[^'\n]*': error (0x[0-9a-fA-F]+)", text)
    if match:
        return int(match.group(1)[:10], 16), match.start()
    match = re.search(r"DLL load failed with error code (-?\d+)", text)
    if match:
        return (1114, match.start()) if match.group(1) in _CRASHES else (int(match.group(1)[:6]), match.start())
    match = re.search(
        r"DLL load failed(?: while importing [\w.]+)?(?::[^\n]{0,14}(?:\n|$)|[ \t]{0,4}(?:[\n&\"'`]|$))", text
    )
    if match:  # the words are cut off: the usual ones
        return 126, match.start()
    return 0, 0


def _with_code(text: str, code: int, at: int) -> Found:
    import re

    kind = _CODES.get(code, "unknown")
    obj, module = "", ""
    for index, pattern in enumerate(_NAMES):
        match = re.search(pattern, text)
        if match:
            obj = cut.strip_marks(match.group("obj").strip())
            module = "yes" if index == 2 else ""
            break
    if not obj:
        obj = _beside(text, at)
    depends = "yes" if "one of its dependencies" in text or "DLL load failed" in text else ""
    missing = None
    if kind == "not-found" and obj and not depends and not module:
        missing = cut.base_name(obj)
    illegal = "yes" if any(mark in text for mark in ("-1073741795", "3221225501", "0xC000001D", "0xc000001d")) else ""
    weight = 9 if kind != "unknown" else 4
    return Found(
        kind, obj, missing, at, weight, "windows", code=str(code), depends=depends, module=module, illegal=illegal
    )


_FILE = r"(?<![\w:\\/.+-])[\w:\\/.+-]+\.(?:dll|pyd|node|ocx|so|DLL)(?![\w.])"


def _beside(text: str, at: int) -> str:
    """The file on the line of the words, or alone on the next one, as Node.js and .NET put it."""
    import re

    line = cut.line_of(text, at)[:4000]
    match = re.search(_FILE, line)
    if match is None:
        end = text.find("\n", at)
        following = cut.line_of(text, end + 1)[:4000].strip() if end >= 0 else ""
        alone = re.fullmatch(r"[A-Za-z]:\\[^<>|?*\"\n]+|\\\\[^<>|*\"\n]+", following)
        match = alone if alone and cut.is_library(following) else None
    return match.group(0) if match else ""


def _entry_point(text: str) -> Found | None:
    """A message box about a function that a DLL is without, and .NET's words for it, in the languages they come in."""
    from dlrepair.diagnose.windows_words import ENTRY_POINTS

    for keyword, pattern in ENTRY_POINTS:
        near = cut.search_near(pattern, text, keyword)
        if near is None:
            continue
        lib = cut.strip_marks((near[0].group("lib") or "").strip().rstrip("."))
        symbol = cut.strip_marks((near[0].group("symbol") or "").strip())
        if lib or symbol:
            return Found("undefined-symbol", lib, symbol, near[1] + near[0].start(), 10, "windows")
    return None
