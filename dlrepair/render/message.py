"""A loader's message in plain words, and the one command that leads on, on the system that wrote the message."""

from __future__ import annotations

import shlex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.model.diagnosis import Symptom

__all__ = ["family", "next_step", "sentence"]

#: Symptom -> what it says of the failing object, ``{0}``, and of what is missing, ``{1}``.
_SENTENCES = {
    "not-found": "{1} was not found, and {0} needs it",
    "undefined-symbol": "{0} needs {1}, which no library that it can see defines",
    "version-not-found": "{0} needs {1}, and the library that was found is without it",
    "wrong-class": "{0} is for another processor, or for 32 bits instead of 64",
    "bad-header": "{0} is not a file that the loader of this system reads",
    "too-short": "{0} is cut short",
    "cannot-read": "{0} could not be read",
    "not-shared": "{0} is no shared library",
    "executable": "{0} is a program, not a library",
    "permission": "{0} may not be opened",
    "map-failed": "{0} was opened, and the system refused to map it as code",
    "execstack": "{0} demands an executable stack, and the system refuses it",
    "static-tls": "the room for static thread-local storage was used up when {0} was loaded",
    "already-registered": "what {0} registers, another library has registered before",
    "code-signature": "macOS refuses the code signature of {0}",
    "no-memory": "there was not enough memory for {0}",
    "python-abi": "{0} was compiled for another Python or NumPy",
    "initializer": "{0} was loaded, and its own start-up code failed",
    "link-loop": "{0} is a symbolic link that leads back to itself",
}


def sentence(symptom: Symptom, demangled: str = "") -> str:
    """What failed, in one sentence; "" for a symptom without words of its own."""
    form = _SENTENCES.get(symptom.kind, "")
    obj = symptom.failing_object or "a library"
    missing = symptom.missing or "something"
    if symptom.kind == "not-found" and (not symptom.failing_object or _last(obj) == _last(missing)):
        form = "{1} was not found" if symptom.missing else "a library that {0} needs was not found"
    elif symptom.kind == "not-found" and not symptom.missing:
        form = "{0}, or a library that it needs, was not found"
    if demangled and demangled != missing:
        missing = "{} ({})".format(missing, demangled)
    return form.format(obj, missing)


def _last(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def family(symptom: Symptom) -> str:
    """``windows``, ``macos``, ``musl``, ``android`` or ``linux``: whose message it is, by its words and its names."""
    names = "{} {}".format(symptom.failing_object or "", symptom.missing or "")
    if symptom.platform == "windows" or "\\" in names or any(end in names.lower() for end in (".dll", ".pyd")):
        return "windows"
    if symptom.platform == "dyld" or ".dylib" in names or "/Users/" in names or "-darwin.so" in names:
        return "macos"
    if symptom.platform == "elsewhere":
        return "android" if "/data/app" in names else ""
    return "musl" if symptom.platform == "musl" else "linux"


def next_step(symptom: Symptom, here: bool) -> str:
    """One command; ``here``: the failing object is a file of this machine."""
    cause = symptom.causes[0]
    explain = "dlrepair explain " + cause
    failing = symptom.failing_object or ""
    if here:
        return "dlrepair check " + shlex.quote(failing)
    if symptom.kind == "python-abi" and (symptom.missing or "").startswith(("0x", "NumPy")):
        return _for_numpy(symptom.missing or "")
    if failing in ("xcb", "wayland", "cocoa") and not symptom.missing:
        return "export QT_DEBUG_PLUGINS=1"  # the program then says at its next start which library the plug-in lacks
    system = family(symptom)
    if system == "windows":
        return _on_windows(cause, symptom) or explain
    if system == "macos":
        return _on_macos(cause, symptom) or explain
    if system == "musl":
        return _on_alpine(cause, symptom) or explain
    return (_on_linux(cause, symptom) if system == "linux" else "") or explain


def _for_numpy(compiled_for: str) -> str:
    """NumPy 2 counts its binary interface from 0x2000000, NumPy 1 from 0x1000009 (its API versions: 0x4 to 0x12)."""
    old = compiled_for.startswith("NumPy 1") or (compiled_for.startswith("0x1") and len(compiled_for) == 9)
    return 'python -m pip install "numpy<2"' if old else "python -m pip install --upgrade numpy"


def _on_windows(cause: str, symptom: Symptom) -> str:
    missing = _last(symptom.missing or "")
    named = missing.lower().endswith(".dll") and missing != _last(symptom.failing_object or "")
    if cause == "dependency-missing" and named and all(char.isalnum() or char in "._+-" for char in missing):
        return "where.exe " + missing
    if cause in ("dependency-missing", "initializer-crash"):  # what such modules need and a bare system has not
        return "winget install Microsoft.VCRedist.2015+.x64"
    if cause == "wrong-arch":
        return 'python -c "import platform; print(platform.architecture(), platform.machine())"'
    return ""


def _on_macos(cause: str, symptom: Symptom) -> str:
    missing, failing = symptom.missing or "", symptom.failing_object or ""
    for place in ("/usr/local/opt/", "/opt/homebrew/opt/"):  # Homebrew's directory is named after the formula
        if missing.startswith(place):
            return "brew reinstall " + shlex.quote(missing[len(place) :].split("/")[0])
    if cause == "code-signature" and "/" in failing:
        return "codesign --verify --verbose=4 " + shlex.quote(failing)
    if cause in ("search-path", "dependency-missing") and failing.startswith("/"):
        return "otool -L " + shlex.quote(failing)
    if cause == "wrong-arch" and failing.startswith("/"):
        return "file " + shlex.quote(failing)
    return "sw_vers" if cause == "libc-too-old" else ""


def _on_alpine(cause: str, symptom: Symptom) -> str:
    missing = symptom.missing or ""
    if cause == "dependency-missing" and ".so" in missing:
        return "apk add so:" + shlex.quote(_last(missing))
    if cause == "wrong-os" and missing.startswith("ld-linux"):
        return "apk add gcompat"
    return ""


def _on_linux(cause: str, symptom: Symptom) -> str:
    missing, failing = symptom.missing or "", symptom.failing_object or ""
    if _last(missing).startswith(("libcuda.so", "libnvidia-")):
        return "nvidia-smi"  # they come with the driver, and with nothing else
    absent = cause in ("dependency-missing", "search-path", "file-missing")
    if symptom.kind == "not-found" and ".so" in missing and absent:
        return "dlrepair search " + shlex.quote(_last(missing))
    if cause == "libstdcxx-too-old":
        return "dlrepair search libstdc++.so.6"
    if cause == "libc-too-old":
        return "ldd --version"
    if cause == "noexec" and failing.startswith("/"):
        return "findmnt --target " + shlex.quote(failing.rsplit("/", 1)[0] or "/")
    if cause == "permission" and failing.startswith("/"):
        return "namei -l " + shlex.quote(failing)
    if cause in ("wrong-arch", "not-a-library", "truncated") and failing.startswith("/"):
        return "file " + shlex.quote(failing)
    return ""
