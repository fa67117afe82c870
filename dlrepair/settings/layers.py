"""Values as they build up, layer over layer, and the rules for each key."""

from __future__ import annotations

import os

from dlrepair.settings import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

__all__ = ["CHOICES", "DEFAULTS", "INTERNAL_ENV", "KEYS", "Layers", "nearest"]

#: key -> its choices, most permissive first
CHOICES = {
    "mode": ("repair", "observe", "off"),
    "rebuild": ("auto", "never"),
    "reexec": ("auto", "never"),
    "cuda_libraries": ("wheel", "system"),
    "twins": ("accept", "refuse"),
    "optional": ("repair", "observe"),
    "verbosity": ("quiet", "line", "full"),
}
DEFAULTS: dict[str, Any] = {
    "mode": "repair",
    "rebuild": "auto",
    "reexec": "auto",
    "cuda_libraries": "wheel",
    "twins": "refuse",
    "search_roots": (),
    "exclude": (),
    "budget_ms": 1500,
    "optional": "observe",
    "verbosity": "line",
    "store": "",
    "shared_store": "",
}
KEYS = tuple(DEFAULTS)

#: variables of the form DLREPAIR_<NAME> that dlrepair sets for itself; so is every DLREPAIR__<NAME>
INTERNAL_ENV = frozenset(("DEBUG", "RUN", "BUILD_SECONDS", "BUILD_MEMORY", "BUILD_DISK"))

_MAX_BUDGET = 600000  # ten minutes: beyond it a failing load looks like a hang
_MAX_PROBLEMS = 20


def nearest(word: str, known: tuple[str, ...]) -> str:
    """The one of ``known`` that ``word`` was probably meant to be; "" when none is near."""
    word = word[:40].lower().replace("-", "_")
    best, distance = "", max(2, len(word) // 3) + 1
    for name in known:
        if len(word) > 2 and name.startswith(word):
            return name
        found = _edits(word, name)
        if found < distance:
            best, distance = name, found
    return best


def _edits(left: str, right: str) -> int:
    """Levenshtein distance, neighbours swapped counting as one edit."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        older, before, row = before, row, [i]
        for j, b in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _show(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    text = ascii(text) if not text.isprintable() else '"{}"'.format(text)
    return text if len(text) <= 80 else text[:40] + "..." + text[-36:]


class Layers:
    """Values as they build up, layer over layer."""

    def __init__(self) -> None:
        self.values = dict(DEFAULTS)
        self.provenance = dict.fromkeys(KEYS, "default")
        self.problems: list[str] = []
        self.project_root = ""
        self.read: list[str] = []  # paths of the files

    def problem(self, text: str) -> None:
        """Note one sentence for a person, fit for a terminal whatever a path or key in it holds."""
        if not text.isprintable():
            from dlrepair.render.text import escape

            text = escape(text)
        if len(self.problems) < _MAX_PROBLEMS and text not in self.problems:
            self.problems.append(text)

    def set(self, key: str, given: object, origin: str, base: str = "") -> None:
        """Take ``given`` for ``key``; relative paths start at ``base`` (default: the current directory)."""
        value = self.checked(key, given, origin, base)
        if value is not None:
            self.values[key] = value
            self.provenance[key] = origin

    def checked(self, key: str, given: object, origin: str, base: str = "") -> Any:
        """The value in its final form, or None after noting why it is ignored."""
        if key not in DEFAULTS:
            close = nearest(key, KEYS)
            hint = "the nearest valid one is {}".format(close) if close else "valid ones are {}".format(", ".join(KEYS))
            self.problem("{}: unknown setting {} is ignored; {}".format(origin, _show(key), hint))
            return None
        if key in CHOICES:
            return self._choice(key, given, origin)
        if key == "budget_ms":
            return self._number(key, given, origin)
        if key in ("search_roots", "exclude"):
            return self._paths(key, given, origin, base)
        if not isinstance(given, str) or "\0" in given:
            self.problem("{}: {} must be a path, not {}; it is ignored".format(origin, key, _show(given)))
            return None
        return _absolute(given, base) if given else ""

    def _choice(self, key: str, given: object, origin: str) -> str | None:
        word = given.strip().lower() if isinstance(given, str) else given
        if isinstance(word, str) and word in CHOICES[key]:
            return word
        close = nearest(word, CHOICES[key]) if isinstance(word, str) else ""
        self.problem(
            "{}: {} cannot be {}; {}valid are {}; it is ignored".format(
                origin, key, _show(given), "the nearest valid one is {}, ".format(close) if close else "",
                ", ".join(CHOICES[key]),
            )
        )  # fmt: skip
        return None

    def _number(self, key: str, given: object, origin: str) -> int | None:
        number = given
        if isinstance(given, str) and given.isascii() and given.strip().isdigit() and len(given) < 20:
            number = int(given)
        if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= _MAX_BUDGET:
            return number
        self.problem(
            "{}: {} must be a whole number of milliseconds from 0 to {}, not {}; it is ignored".format(
                origin, key, _MAX_BUDGET, _show(given)
            )
        )
        return None

    def _paths(self, key: str, given: object, origin: str, base: str) -> tuple[str, ...] | None:
        if isinstance(given, str):
            given = [part for part in given.split(os.pathsep) if part]
        if not isinstance(given, (list, tuple)) or not all(isinstance(p, str) and p and "\0" not in p for p in given):
            self.problem("{}: {} must be a list of paths, not {}; it is ignored".format(origin, key, _show(given)))
            return None
        plain = key == "exclude"
        return tuple(part if plain and os.sep not in part else _absolute(part, base) for part in given)

    # --- where values come from

    def config(self, path: str) -> None:
        data = files.read(path)
        if data is None:
            return
        for key, given in self.parse(path, data, "config").items():
            if self._relative(key, given):
                self.problem("config {}: {} must hold absolute paths; it is ignored".format(path, key))
                continue
            self.set(key, given, "config " + path)

    @staticmethod
    def _relative(key: str, given: object) -> bool:
        if key not in ("search_roots", "store", "shared_store"):
            return False
        paths = given if isinstance(given, list) else [given]
        return any(isinstance(p, str) and p and not os.path.isabs(os.path.expanduser(p)) for p in paths)

    def parse(self, path: str, data: bytes | str, origin: str) -> dict[str, Any]:
        """The table of settings in a TOML file; {} after noting why it cannot be had."""
        self.read.append(path)
        where = "{} {}".format(origin, path)
        if isinstance(data, str):
            self.problem("{}: {}; it is ignored".format(where, data))
            return {}
        try:
            parser = files.toml_parser()
        except ImportError:
            self.problem("{}: no TOML parser (Python 3.11, or the package tomli); it is ignored".format(where))
            return {}
        try:
            table = parser.loads(data.decode("utf-8"))
            if os.path.basename(path) == "pyproject.toml":
                table = table.get("tool", {}).get("dlrepair", {})
            if not isinstance(table, dict):
                raise ValueError("tool.dlrepair is not a table")
        except (ValueError, AttributeError, RecursionError) as exc:
            self.problem("{}: {}; it is ignored".format(where, _show(str(exc) or type(exc).__name__)[1:-1]))
            return {}
        return table

    def environment(self, environ: Mapping[str, str]) -> None:
        for name in environ:
            if name.startswith("DLREPAIR_") and not name.startswith("DLREPAIR__"):
                key = name[9:].lower()
                if key and name[9:] not in INTERNAL_ENV and environ[name] != "":
                    self.set(key, environ[name], "environment " + name)
        # last: the switch that people reach for in an emergency wins over DLREPAIR_MODE
        if environ.get("DLREPAIR"):
            self.set("mode", environ["DLREPAIR"], "environment DLREPAIR")

    def project(self, start: str, check: Callable[[str], str | None]) -> None:
        path, data = files.find_project(start)
        if data is None:
            return
        refused = check(path)
        if refused is not None:
            self.problem("project {} is ignored: {}".format(path, refused))
            return
        self.project_root = os.path.dirname(path)
        for key, given in self.parse(path, data, "project").items():
            self.narrow(key, given, path)

    def narrow(self, key: str, given: object, path: str) -> None:
        """Take a project's value where it gives less than what holds so far."""
        origin = "project " + path
        if key in ("store", "shared_store"):
            self.problem("{}: a project cannot set {}; it is ignored".format(origin, key))
            return
        value = self.checked(key, given, origin, self.project_root)
        if value is None:
            return
        held = self.values[key]
        if key == "search_roots":
            inside = tuple(root for root in value if _inside(root, self.project_root))
            for root in value:
                if root not in inside:
                    self.problem(
                        "{}: search root {} lies outside the project; it is ignored".format(origin, _show(root))
                    )
            value = inside + tuple(root for root in held if root not in inside)
        elif key == "exclude":
            value = held + tuple(item for item in value if item not in held)
        elif self._widens(key, value):
            self.problem(
                "{}: a project can lower {} but not raise it from {} to {}; it is ignored".format(
                    origin, key, held, value
                )
            )
            return
        if value != held:
            self.values[key] = value
            self.provenance[key] = origin

    def _widens(self, key: str, value: Any) -> bool:
        if key == "budget_ms":
            return bool(value > self.values[key])
        if key not in ("mode", "rebuild", "reexec", "optional"):
            return False
        return CHOICES[key].index(value) < CHOICES[key].index(self.values[key])


def _absolute(path: str, base: str) -> str:
    try:
        return os.path.abspath(os.path.join(base, os.path.expanduser(path)))
    except OSError:  # the current directory is gone
        return os.path.normpath(os.path.join(os.sep, path))


def _inside(path: str, root: str) -> bool:
    """Whether ``path`` is ``root`` or lies below it, links resolved; parts are compared, not prefixes of strings."""
    real, top = os.path.realpath(path), os.path.realpath(root)
    return real == top or real.startswith(top.rstrip(os.sep) + os.sep)
