"""Messages of TensorFlow (dso_loader, stream executor, registries), and of libraries that log in its way."""

from __future__ import annotations

from dlrepair.diagnose import glibc
from dlrepair.diagnose import text as cut
from dlrepair.diagnose.text import Found

#: Messages that quote the error of a library which was opened at run time.
_QUOTING = (
    r"Could not (?:load|dlopen) (?:dynamic )?library '(?P<obj>[^'\n]+)'(?:;? ?dlerror: ?(?P<inner>[^\n]*))?",
    r"Could not load library (?P<obj>[^\s']+?)\.? Error: (?P<inner>[^\n]*)",
    r"Couldn't open CUDA library (?P<obj>\S+?)\.?(?:\s+LD_LIBRARY_PATH: [^\n]*|\s|$)",
    r"Unable to load any of \{?(?P<obj>[^\s,{}]+)",
    r"[Uu]nable to open file: (?P<obj>[^\s,]+), from paths: (?P<inner>.*)",
    r"dynamic library \((?P<obj>[^()\n]+)\) that Paddle depends on[^\n]*?error code is (?P<inner>[^\n]*)",
    r"Failed to load Python (?:shared library|DLL) '(?P<obj>[^'\n]+)'[:.]\s*(?P<inner>[^\n]*)",
)

#: Ops, kernels, platforms, protobuf files, types: something is registered a second time.
_TWICE = (
    "already registered", "registered already", "already been registered", "File already exists in database",
    "Multiple OpKernel registrations match", "Duplicate registration", "linked both statically and dynamically",
    "linked twice", "AlreadyExistsError", "cannot load module more than once per process",
    "already initialized", "was defined more than once", "duplicate OpKernel", "Two OpKernels",
    "loaded more than once", "Duplicate key in registry",
    "Already exists: Op with name", "ALREADY_EXISTS: Op with name", "Duplicated gradient for",
    "metric with the same name already exists", "Cannot register 2 metrics", "registered more than once",
    "registered twice", "Only a single TORCH_LIBRARY", "with the same name and the same overload name",
    "into descriptor pool: duplicate", "is already in the pool", "an object with that name is already defined",
    "GeneratedDatabase()->Add(", "generated_database_->Add(", "omething wrong with flag '",
    "method already has a docstring",
)  # fmt: skip

_LIBRARY = r"(?<![\w@./~+-])[\w@./~+-]*\.(?:so(?:\.\d+)*|dylib|dll|pyd)\b"


def scan(text: str) -> list[Found]:
    """The messages of TensorFlow and its like in a text."""
    import re

    found = []
    for pattern in _QUOTING:
        for match in list(re.finditer(pattern, text, re.S if "from paths" in pattern else 0))[:32]:
            found.append(_quoted(match.group("obj"), match.groupdict().get("inner") or "", match.start(), text))
    lost = re.search(
        r"(?:Could not load|Cannot load|Failed to load) symbol (?P<s>\w+)(?: from (?P<obj>\S+?)\.?(?:\s|$))?", text
    )
    if lost:
        found.append(Found("undefined-symbol", lost.group("obj"), lost.group("s"), lost.start(), 10, "tensorflow"))
    found.extend(_states(text))
    found.extend(_twice(text))
    return found


def _quoted(obj: str, inner: str, at: int, text: str) -> Found:
    """The message of glibc that is quoted for ``obj``; "not found" when none is."""
    obj = cut.strip_marks(obj)
    line = cut.line_of(text, at)
    search_path = line.split("LD_LIBRARY_PATH:", 1)[1].strip() if "LD_LIBRARY_PATH:" in line else None
    best = None
    for item in glibc.scan(inner):
        if best is None or item.weight > best.weight:
            best = item
    log = "yes" if "dso_loader" in line or "dynamic library" in line or "CUDA library" in line else ""
    weight = 6 if log else 8
    facts = {"opened": obj, "log": log, "no_search_path": "" if search_path is not None or not log else "yes"}
    if search_path is not None and "$" in search_path:
        facts["unexpanded"] = "yes"
    if best is None:
        return Found("not-found", obj, cut.base_name(obj), at, weight, "tensorflow", **facts)
    facts.update(best.facts)
    failing = best.obj or obj
    if best.kind == "not-found" and not cut.is_path(best.obj):
        failing = obj
    if best.kind != "not-found":
        weight = best.weight
    return Found(best.kind, failing, best.missing, at, weight, "tensorflow", **facts)


def _states(text: str) -> list[Found]:
    """Messages that state a mismatch or a lack without a loader's words."""
    import re

    found = []
    for words, kind, facts in (
        ("Cannot dlopen some GPU libraries", "not-found", "gpu"),
        ("Could not find cuda drivers on your machine", "not-found", "driver"),
        ("Could not find TensorRT", "not-found", "gpu"),
        ("but source was compiled with", "version-not-found", "cudnn"),
    ):
        at = text.find(words)
        if at >= 0:
            found.append(Found(kind, None, None, at, 4, "tensorflow", state=facts))
    match = re.search(r"Loaded runtime CuDNN library: (?P<v>[\d.]+) but source was compiled (?P<w>\w+)?", text)
    if match:
        found.append(Found("version-not-found", None, None, match.start(), 6, "tensorflow", state="cudnn"))
    match = re.search(r"Op type not registered '(?P<op>[^']+)'", text)
    if match:
        op = match.group("op")
        found.append(Found("not-found", op, op, match.start(), 6, "tensorflow", state="op"))
    match = re.search(r"compiled to use (?P<isa>[\w., ]+) instructions, but these aren't available", text)
    if match:
        found.append(Found("initializer", None, None, match.start(), 8, "tensorflow", state="isa"))
    match = re.search(r"[Nn]o matching [^\n]{0,60}? found for installed TensorFlow version", text)
    if match:
        found.append(Found("version-not-found", None, None, match.start(), 6, "tensorflow", state="plugin"))
    return found


def _twice(text: str) -> list[Found]:
    import re

    for words in _TWICE:
        at = text.find(words)
        if at < 0 or ("type is already registered" in text and "warning" in text.lower()):
            continue
        line = cut.line_of(text, at)
        match = re.search(_LIBRARY, line)
        obj = match.group(0) if match else None
        return [Found("already-registered", obj, None, at, 8, "tensorflow")]
    return []
