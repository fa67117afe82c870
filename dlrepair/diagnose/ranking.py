"""Possible causes of a symptom, likeliest first: what the words, the names in them and the loader make probable.

This is a ranking, not a diagnosis: a cause is stated as fact only by ``rules`` (CONTRACT.md, Causes).
String methods only; one function a symptom kind.
"""

from __future__ import annotations

from dlrepair.diagnose import hints
from dlrepair.diagnose import text as cut
from dlrepair.diagnose.text import Found

#: Kinds whose words leave little to rank.
_PLAIN = {
    "executable": ("not-a-library", "wrong-os"),
    "not-shared": ("not-a-library", "truncated", "wrong-os"),
    "execstack": ("execstack", "permission"),
    "static-tls": ("static-tls", "search-path"),
    "already-registered": ("duplicate-registration", "search-path", "undefined-symbol-version"),
    "code-signature": ("code-signature", "permission", "not-a-library"),
    "no-memory": ("no-memory", "truncated"),
    "link-loop": ("file-missing", "search-path"),
    "cannot-read": ("not-a-library", "truncated", "permission"),
    "too-short": ("truncated", "not-a-library", "file-missing"),
}


def rank(found: Found, text: str, loader: str) -> tuple[str, ...]:
    """Slugs of ``dlrepair.model.causes``, likeliest first, without repetition; never empty."""
    if found.kind in _PLAIN:
        causes = _PLAIN[found.kind]
    else:
        causes = _BY_KIND.get(found.kind, _unknown)(found, text, loader)
    return tuple(dict.fromkeys(causes)) or ("unknown",)


def _absent(found: Found, text: str, loader: str) -> tuple[str, ...]:
    from dlrepair.diagnose import ranking_absent

    return ranking_absent.not_found(found, text, loader)


def _undefined(found: Found, text: str, loader: str) -> tuple[str, ...]:
    from dlrepair.diagnose import ranking_symbols

    return ranking_symbols.undefined(found, text, loader)


def _version(found: Found, text: str, loader: str) -> tuple[str, ...]:
    from dlrepair.diagnose import ranking_symbols

    return ranking_symbols.version(found, text, loader)


def _wrong_class(found: Found, text: str, loader: str) -> tuple[str, ...]:
    if found.platform == "glibc" and found.obj and not cut.is_path(found.obj):
        return ("search-path", "wrong-arch")  # a name, not a path: a search led to it
    return ("wrong-arch", "search-path", "python-abi")


def _bad_header(found: Found, text: str, loader: str) -> tuple[str, ...]:
    obj = found.obj or ""
    reason = found.facts.get("reason", "")
    if found.facts.get("state") == "exec":
        return ("wrong-arch", "wrong-os", "not-a-library")
    if found.platform == "windows":
        if obj.endswith(".so") or ".so" in text:
            return ("wrong-os", "wrong-arch", "not-a-library")
        return ("wrong-arch", "wrong-os", "not-a-library", "truncated")
    if found.platform == "dyld":
        if "platform" in reason or "built for" in reason:
            return ("wrong-os", "wrong-arch")
        if "duplicate LC_" in reason:  # its header was edited twice
            return ("not-a-library", "truncated", "code-signature")
        return ("wrong-os", "not-a-library", "truncated")
    words = found.facts.get("words", "")
    if "OS ABI" in words or "ABI version" in words:
        return ("wrong-os", "libc-too-old", "wrong-arch")
    if words.startswith("rebuild"):  # the program asks for control-flow protection, and the library has none
        return ("undefined-symbol-version", "search-path", "libc-too-old")
    if "reloc type" in words or "padding" in words or "load command" in words:
        return ("truncated", "wrong-arch", "not-a-library")
    if "data encoding" in words:
        return ("wrong-arch", "wrong-os")
    if found.platform == "musl":
        return ("wrong-arch", "wrong-os", "not-a-library")
    told = "under Linux" in text or "on Linux" in text  # as if it did elsewhere
    if told or hints.installed(obj) or loader == "import" or obj.endswith(".node"):
        return ("wrong-os", "not-a-library", "truncated")
    return ("not-a-library", "wrong-os", "truncated")


def _permission(found: Found, text: str, loader: str) -> tuple[str, ...]:
    if "sandbox" in found.facts.get("reason", ""):
        return ("permission", "code-signature")
    return (
        ("permission", "noexec", "code-signature")
        if found.platform in ("dyld", "windows")
        else ("permission", "noexec")
    )


def _map_failed(found: Found, text: str, loader: str) -> tuple[str, ...]:
    reason = found.facts.get("reason", "").lower()  # somebody may have typed it
    if reason.startswith("cannot allocate memory"):
        return ("no-memory", "noexec", "truncated")
    if reason.startswith("permission denied"):
        return ("permission", "noexec", "execstack")
    if reason.startswith("invalid argument"):
        return ("wrong-arch", "truncated", "noexec")
    if "memory protections" in found.facts.get("words", ""):
        return ("permission", "execstack", "no-memory")
    return ("noexec", "no-memory", "permission")


def _initializer(found: Found, text: str, loader: str) -> tuple[str, ...]:
    state = found.facts.get("state", "")
    if state in ("illegal", "isa") or found.facts.get("words", "").startswith("CPU ISA"):
        return (
            ("initializer-crash", "wrong-arch", "unknown")
            if state == "illegal"
            else ("wrong-arch", "initializer-crash")
        )
    if state == "bus":
        return ("truncated", "no-memory", "initializer-crash")
    if state == "heap":
        return ("initializer-crash", "search-path", "undefined-symbol-abi", "unknown")
    if found.platform == "windows":
        if found.facts.get("illegal"):
            return ("wrong-arch", "initializer-crash")
        return ("initializer-crash", "dependency-missing", "search-path")
    return ("initializer-crash", "truncated", "undefined-symbol-version", "unknown")


def _python_abi(found: Found, text: str, loader: str) -> tuple[str, ...]:
    return (
        ("python-abi", "search-path", "wrong-arch")
        if found.facts.get("state") == "export"
        else ("python-abi", "search-path")
    )


def _unknown(found: Found, text: str, loader: str) -> tuple[str, ...]:
    if found.facts.get("static"):
        return ("wrong-os", "unknown")
    if found.facts.get("state") == "ld.so":
        return ("search-path", "truncated", "symbol-version-missing")
    if found.facts.get("state") == "source-tree":
        return ("search-path", "dependency-missing", "python-abi")
    if found.facts.get("cut"):
        return ("dependency-missing", "wrong-arch", "file-missing", "unknown")
    if found.platform == "dyld" and found.facts.get("opened") and "tried:" in text:  # cut off behind it
        return ("wrong-arch", "dependency-missing", "code-signature")
    return ("unknown", "dependency-missing", "search-path")


_BY_KIND = {
    "not-found": _absent,
    "undefined-symbol": _undefined,
    "version-not-found": _version,
    "wrong-class": _wrong_class,
    "bad-header": _bad_header,
    "permission": _permission,
    "map-failed": _map_failed,
    "initializer": _initializer,
    "python-abi": _python_abi,
}
