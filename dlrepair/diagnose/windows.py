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

#: The system's words in the languages that they are pasted in -> error code.
_WORDS = (
    ("specified module could not be found", 126), ("specified module cannot be found", 126),
    ("\u627e\u4e0d\u5230\u6307\u5b9a\u7684\u6a21\u5757", 126), ("\u627e\u4e0d\u5230\u6307\u5b9a\u7684\u6a21\u7d44", 126),
    ("angegebene Modul wurde nicht gefunden", 126), ("module sp\u00e9cifi\u00e9 est introuvable", 126),
    ("no se puede encontrar el m\u00f3dulo especificado", 126), ("no se encontr\u00f3 el m\u00f3dulo especificado", 126),
    ("n\u00e3o foi poss\u00edvel encontrar o m\u00f3dulo especificado", 126), ("impossibile trovare il modulo specificato", 126),
    ("\u041d\u0435 \u043d\u0430\u0439\u0434\u0435\u043d \u0443\u043a\u0430\u0437\u0430\u043d\u043d\u044b\u0439 \u043c\u043e\u0434\u0443\u043b\u044c", 126),
    ("\u6307\u5b9a\u3055\u308c\u305f\u30e2\u30b8\u30e5\u30fc\u30eb\u304c\u898b\u3064\u304b\u308a\u307e\u305b\u3093", 126),
    ("\uc9c0\uc815\ub41c \ubaa8\ub4c8\uc744 \ucc3e\uc744 \uc218 \uc5c6\uc2b5\ub2c8\ub2e4", 126),
    ("Nie mo\u017cna odnale\u017a\u0107 okre\u015blonego modu\u0142u", 126), ("Kan opgegeven module niet vinden", 126),
    ("Belirtilen mod\u00fcl bulunamad\u0131", 126), ("Det g\u00e5r inte att hitta den angivna modulen", 126),
    ("specified procedure could not be found", 127), ("specified procedure cannot be found", 127),
    ("\u627e\u4e0d\u5230\u6307\u5b9a\u7684\u7a0b\u5e8f", 127), ("angegebene Prozedur wurde nicht gefunden", 127),
    ("proc\u00e9dure sp\u00e9cifi\u00e9e est introuvable", 127), ("no se encontr\u00f3 el proceso especificado", 127),
    ("n\u00e3o foi poss\u00edvel encontrar o procedimento especificado", 127), ("impossibile trovare la procedura specificata", 127),
    ("\u041d\u0435 \u043d\u0430\u0439\u0434\u0435\u043d\u0430 \u0443\u043a\u0430\u0437\u0430\u043d\u043d\u0430\u044f \u043f\u0440\u043e\u0446\u0435\u0434\u0443\u0440\u0430", 127),
    ("\u6307\u5b9a\u3055\u308c\u305f\u30d7\u30ed\u30b7\u30fc\u30b8\u30e3\u304c\u898b\u3064\u304b\u308a\u307e\u305b\u3093", 127),
    ("is not a valid Win32 application", 193), ("\u4e0d\u662f\u6709\u6548\u7684 Win32", 193), ("keine zul\u00e4ssige Win32", 193),
    ("n\u2019est pas une application Win32 valide", 193), ("n'est pas une application Win32 valide", 193),
    ("no es una aplicaci\u00f3n Win32 v\u00e1lida", 193), ("n\u00e3o \u00e9 um aplicativo Win32 v\u00e1lido", 193),
    ("\u043d\u0435 \u044f\u0432\u043b\u044f\u0435\u0442\u0441\u044f \u043f\u0440\u0438\u043b\u043e\u0436\u0435\u043d\u0438\u0435\u043c Win32", 193),
    ("\u306f\u6709\u52b9\u306a Win32 \u30a2\u30d7\u30ea\u30b1\u30fc\u30b7\u30e7\u30f3\u3067\u306f\u3042\u308a\u307e\u305b\u3093", 193),
    ("bad EXE format", 193), ("(DLL) initialization routine failed", 1114), ("(DLL)\u521d\u59cb\u5316\u4f8b\u7a0b\u5931\u8d25", 1114),
    ("(DLL) \u521d\u59cb\u5316\u4f8b\u7a0b\u5931\u8d25", 1114), ("DLL) ist fehlgeschlagen", 1114), ("operating system cannot run %1", 182),
    ("paging file is too small", 1455), ("\u9875\u9762\u6587\u4ef6\u592a\u5c0f", 1455), ("side-by-side configuration is incorrect", 14001),
    ("control policy has blocked this file", 4551), ("blocked by group policy", 1260), ("Invalid access to memory location", 998),
    ("cannot verify the digital signature", 577),
)  # fmt: skip

#: NTSTATUS of a crash inside a DLL's own code.
_CRASHES = ("0xC0000005", "0xc0000005", "-1073741819", "-1073741795", "0xC000001D", "0xc000001d", "0xc0000409")

_NAMES = (
    r'Error loading "(?P<obj>[^"\n]+)"',
    r"Could not find module '(?P<obj>[^'\n]+)'",
    r"DLL load failed while importing (?P<obj>[\w.]+)",
    r"Unable to load (?:DLL|shared library) '(?P<obj>[^'\n]+)'",
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
    r"'?(?P<lib>[\w.+-]+\.dll)'? (?:not found|could not be found|cannot be found|could not be loaded)",
    r"Could not (?:load|dlopen) (?:dynamic )?library '(?P<lib>[^'\n]+\.dll)'",
    r"(?:Could|could) not locate (?P<lib>[\w.+-]+\.dll)",
)

_ENTRY = r"procedure entry point (?P<symbol>\S+) could not be located in the dynamic link library\s+(?P<lib>[^\n]+?)\.?\s*(?:$|\n)"


def scan(text: str) -> list[Found]:
    """The messages of Windows' loader in a text."""
    import re

    found: list[Found] = []
    entry = re.search(_ENTRY, text)
    if entry:
        return [Found("undefined-symbol", entry.group("lib"), entry.group("symbol"), entry.start(), 10, "windows")]
    module = re.search(r"Could not find module '(?P<obj>[^'\n]+)'", text)
    if module:
        name = module.group("obj")
        return [Found("not-found", name, cut.base_name(name), module.start(), 9, "windows", where="module")]
    code, at = _code(text)
    if code:
        found.append(_with_code(text, code, at))
    if not found or found[0].kind == "unknown":
        for pattern in _ABSENT:
            match = re.search(pattern, text)
            if match:
                name = match.group("lib")
                found.append(Found("not-found", name, cut.base_name(name), match.start(), 8, "windows"))
                break
    if not found and "DLL load failed" in text:
        found.append(_with_code(text, 0, text.find("DLL load failed")))
    return found


def _code(text: str) -> tuple[int, int]:
    """(Windows error code, position); (0, 0) without one."""
    import re

    lowered = text.lower()
    for words, code in _WORDS:
        at = lowered.find(words.lower())
        if at >= 0:
            return code, at
    for pattern in (r"\[?WinError (\d+)\]?", r"\[Error (\d+)\]", r"[Ww]indows error:? (\d+)", r"LoadLibrary\w*[^\n]{0,160}?error (?:code )?(\d+)"):  # fmt: skip
        match = re.search(pattern, text)
        if match:
            return int(match.group(1)[:6]), match.start()
    match = re.search(r"cannot load library '[^'\n]*': error (0x[0-9a-fA-F]+)", text)
    if match:
        return int(match.group(1)[:10], 16), match.start()
    match = re.search(r"DLL load failed with error code (-?\d+)", text)
    if match:
        return (1114, match.start()) if match.group(1) in _CRASHES else (int(match.group(1)[:6]), match.start())
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
    depends = "yes" if "one of its dependencies" in text or "DLL load failed" in text else ""
    missing = None
    if kind == "not-found" and obj and not depends and not module:
        missing = cut.base_name(obj)
    weight = 9 if kind != "unknown" else 4
    return Found(kind, obj, missing, at, weight, "windows", code=str(code), depends=depends, module=module)
