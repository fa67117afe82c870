"""The text of an installed hook: rendered, and recognised again among what others added."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from dlrepair.installer.places import read_stage0, read_template

SITECUSTOMIZE = "sitecustomize.py"
HELPER = "_dlrepair_hook.py"
PTH = "dlrepair.pth"
START = "dlrepair.start"
#: Name under which a foreign sitecustomize.py is kept; the number is left out the first time.
KEPT = "sitecustomize_before_dlrepair{}.py"

PTH_LINES = ("# written by `dlrepair install`; `dlrepair uninstall` removes it", "import _dlrepair_hook")
START_LINES = ("_dlrepair_hook:start",)  # PEP 829: from Python 3.15 on this line is used, the .pth ignored

_FIRST = "# >>> dlrepair hook: written by `dlrepair install`; `dlrepair uninstall` restores what was here"
_LAST = "# <<< dlrepair hook"
_PATTERN = re.compile(
    r"^" + re.escape(_FIRST) + r"\n# sha256=(?P<digest>[0-9a-f]{64}) (?P<state>\{[^\n]*\})\n(?P<body>.*?)^"
    + re.escape(_LAST) + r"(?:\n|\Z)", re.MULTILINE | re.DOTALL,
)  # fmt: skip

_ENTRY_POINT = '''

def start():
    """Entry point of ``dlrepair.start`` (PEP 829): the import alone has armed the hook."""
'''


@dataclass(frozen=True)
class Block:
    """An installed hook inside a file's text."""

    state: dict[str, Any]  #: ``version``, ``kept``, ``kept_pycs``, ``made_pycache``
    intact: bool  #: whether its digest still fits
    whole: str  #: the block itself, first to last line
    before: str  #: what others wrote above
    after: str  #: what others wrote below

    @property
    def home(self) -> str:
        """The directory that holds the package which the hook uses; "" where the block does not say."""
        found = re.search(r"^HOME = (.*)$", self.whole, re.MULTILINE)
        try:
            home = ast.literal_eval(found.group(1)) if found else ""
        except (ValueError, SyntaxError):
            return ""
        return home if isinstance(home, str) else ""

    @property
    def others(self) -> bool:
        return bool((self.before + self.after).strip())


def render(home: str, state: dict[str, Any], *, chain: bool) -> str:
    """The block: stage 0 itself, the directory of the package and, with ``chain``, the next sitecustomize.

    ``home`` is the directory that holds the dlrepair package; ``state`` is written into it as JSON.
    """
    template = read_template()
    tail = template.partition("# </stage 0>\n")[2]
    armed, _, chained = tail.partition("\n\n# <chain>\n")
    chained = chained.partition("# </chain>\n")[0]
    constants = "\n\nHOME = {}\n".format(ascii(home))
    if chain:
        constants += "KEPT = {}\n".format(ascii(state.get("kept", "")))
    body = read_stage0().rstrip() + "\n" + constants + armed.rstrip() + "\n"
    body += "\n\n" + chained if chain else _ENTRY_POINT
    packed = json.dumps(state, sort_keys=True)
    return "{}\n# sha256={} {}\n{}{}\n".format(_FIRST, _digest(packed, body), packed, body, _LAST)


def parse(text: str) -> Block | None:
    """The hook in a file's text, or None. Damage is reported, not repaired: ``intact`` is then False."""
    found = _PATTERN.search(text)
    if found is None:
        if _FIRST not in text and _LAST not in text:
            return None
        return Block({}, False, "", text, "")
    try:
        state = json.loads(found.group("state"))
    except ValueError:
        state = {}
    intact = found.group("digest") == _digest(found.group("state"), found.group("body"))
    return Block(state, intact, found.group(0), text[: found.start()], text[found.end() :])


def _digest(state: str, body: str) -> str:
    return hashlib.sha256((state + "\n" + body).encode("utf-8", "surrogateescape")).hexdigest()
