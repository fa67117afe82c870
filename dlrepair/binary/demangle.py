"""C++ names in their readable form: the Itanium C++ ABI's mangling, read by a small parser of our own.

libstdc++'s ``__cxa_demangle`` would have to be loaded into the user's process, and recurses
without a limit on hostile names. This one is bounded in depth and length; what it does
not know (rare template expressions) stays mangled.
Grammar: Itanium C++ ABI, section 5.1. Spelling: that of GNU c++filt.
"""

from __future__ import annotations

from dlrepair.binary.mangling import BUILTINS, FULL_NAMES, OPERATORS, SPECIAL, STANDARD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

MAX_DEPTH = 160
MAX_LENGTH = 1 << 16


class _Unknown(Exception):
    """Not a mangled name, or one beyond this parser."""


class _Type:
    """A declarator in two halves: ``left name right``, as in ``void (*`` … ``)(int)``."""

    __slots__ = ("kind", "left", "right")

    def __init__(self, left: str, right: str = "", kind: str = "") -> None:
        if len(left) + len(right) > MAX_LENGTH:
            raise _Unknown("too long")
        self.left, self.right, self.kind = left, right, kind

    def __str__(self) -> str:
        return self.left + self.right

    def pointed(self, mark: str) -> _Type:
        """A pointer or reference to it."""
        if self.kind in ("function", "array"):
            gap = "" if self.left.endswith(" ") else " "
            return _Type(self.left + gap + "(" + mark, (") " if self.kind == "array" else ")") + self.right, "pointer")
        if mark in ("&", "&&") and self.left.endswith("&"):  # references to references collapse
            return _Type(self.left[:-1], self.right, self.kind) if mark == "&" and self.left.endswith("&&") else self
        return _Type(self.left + mark, self.right, self.kind)

    def qualified(self, words: str) -> _Type:
        """It with `` const`` or `` volatile``."""
        if self.kind == "function":
            return _Type(self.left, self.right + words, self.kind)
        if self.kind == "array":
            return _Type(self.left.rstrip() + words + " ", self.right, self.kind)
        return _Type(self.left + words, self.right, self.kind)


class _Name:
    """A parsed name and what the rest of the encoding depends on."""

    __slots__ = ("returns", "suffix", "text")

    def __init__(self, text: str, returns: bool = False, suffix: str = "") -> None:
        self.text, self.returns, self.suffix = text, returns, suffix


class _Parser:
    def __init__(self, words: str) -> None:
        self.s, self.at, self.depth = words, 0, 0
        self.subs: list[_Type] = []
        self.args: list[_Type] = []  #: arguments of the template whose parameters T_ stand for
        self.packs: dict[int, list[_Type]] = {}
        self.named, self.name_end = "", 0  #: the entity's name, and where its mangled form ends

    # -- small steps
    def peek(self, count: int = 1) -> str:
        return self.s[self.at : self.at + count]

    def take(self, words: str) -> bool:
        if self.s.startswith(words, self.at):
            self.at += len(words)
            return True
        return False

    def need(self, words: str) -> None:
        if not self.take(words):
            raise _Unknown("expected %s" % words)

    def number(self) -> int:
        start = self.at
        while self.peek().isdigit():
            self.at += 1
        if start == self.at or self.at - start > 9:
            raise _Unknown("number")
        return int(self.s[start : self.at])

    def sequence(self) -> int:
        """An index ``_``, ``0_``, ``1_`` …: 0, 1, 2 (base 36)."""
        start = self.at
        while self.peek().isdigit() or "A" <= self.peek() <= "Z":
            self.at += 1
        digits = self.s[start : self.at]
        self.need("_")
        if len(digits) > 6:
            raise _Unknown("index")
        return int(digits, 36) + 1 if digits else 0

    def deeper(self, step: Callable[[], _Type]) -> _Type:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _Unknown("too deep")
        try:
            return step()
        finally:
            self.depth -= 1

    # -- names
    def encoding(self, returns: bool = True) -> str:
        for code, words in SPECIAL:
            if self.take(code):
                return self.special(code, words)
        name = self.name()
        self.named, self.name_end = name.text, self.at
        if self.at >= len(self.s) or self.peek() in "E.@":
            return name.text + name.suffix
        returned = self.type() if name.returns else None
        shown = name.text + self.parameters() + name.suffix
        if returned is None or not returns:
            return shown
        gap = "" if returned.kind == "pointer" else " "
        return returned.left + gap + shown + returned.right

    def special(self, code: str, words: str) -> str:
        if code in ("Th", "Tv"):
            self.take("n")
            self.number()
            self.need("_")
            if code == "Tv":
                self.take("n")
                self.number()
                self.need("_")
            return words + self.encoding()
        if code in ("GTt", "GA"):
            return words + self.encoding()
        if code in ("GV", "TW", "TH"):
            return words + self.name().text
        if code == "GR":
            name = self.name().text
            return "%s#%d for %s" % (words, self.sequence() if self.at < len(self.s) else 0, name)
        if code == "TC":
            derived = self.type()
            self.number()
            self.need("_")
            return "construction vtable for %s-in-%s" % (self.type(), derived)
        return words + str(self.type())

    def parameters(self) -> str:
        found: list[str] = []
        while self.at < len(self.s) and self.peek() not in "E.@" and self.peek(2) not in ("RE", "OE"):
            found.append(str(self.type()))
        shown = [one for one in found if one]
        return "()" if shown == ["void"] else "(" + ", ".join(shown) + ")"

    def name(self) -> _Name:
        if self.take("N"):
            return self.nested()
        if self.take("Z"):
            return self.local()
        if self.peek() == "S" and self.peek(2) != "St":
            known = self.substitution()
            if self.peek() == "I":
                return _Name(self.with_arguments(str(known)), True)
            return _Name(str(known))
        plain, special = self.unscoped()
        if self.peek() == "I":
            self.subs.append(_Type(plain))
            return _Name(self.with_arguments(plain), not special)
        return _Name(plain)

    def unscoped(self) -> tuple[str, bool]:
        prefix = "std::" if self.take("St") else ""
        words, special = self.unqualified("")
        return prefix + words, special

    def with_arguments(self, words: str) -> str:
        shown = self.arguments()
        gap = " " if words.endswith("<") else ""
        return "%s%s<%s%s>" % (words, gap, shown, " " if shown.endswith(">") else "")

    def nested(self) -> _Name:
        suffix = ""
        for code, words in (("r", " restrict"), ("V", " volatile"), ("K", " const")):
            if self.take(code):
                suffix += words
        suffix += " &" if self.take("R") else " &&" if self.take("O") else ""
        so_far, last, returns, first = "", "", False, True
        while not self.take("E"):
            here = self.peek()
            if here == "I":
                if not so_far:
                    raise _Unknown("arguments of nothing")
                so_far, returns = self.with_arguments(so_far), last != "special"
            elif here == "S" and self.peek(2) != "St":
                so_far, last = str(self.substitution()), ""
                if "::" in so_far:
                    last = so_far.split("<", 1)[0].rpartition("::")[2]
                first = False
                continue
            elif here == "T":
                so_far = str(self.template_parameter())
            elif here == "D" and self.peek(2) in ("Dt", "DT"):
                so_far = str(self.type())
                first = False
                continue
            elif self.take("St"):
                so_far = "std"
                first = False
                continue
            else:
                self.take("L")
                words, special = self.unqualified(_last_part(so_far))
                so_far, last, returns = (so_far + "::" if so_far else "") + words, "special" if special else words, False
            first = False
            if self.take("M"):
                pass
            if self.peek() != "E":
                self.subs.append(_Type(so_far))
        if first:
            raise _Unknown("empty name")
        return _Name(so_far, returns, suffix)

    def local(self) -> _Name:
        inside = self.encoding(returns=False)
        self.need("E")
        if self.take("s"):
            self.discriminator()
            return _Name(inside + "::string literal")
        if self.take("d"):
            count = self.sequence()
            inner = self.name()
            return _Name("%s::{default arg#%d}::%s" % (inside, count + 1, inner.text), inner.returns, inner.suffix)
        inner = self.name()
        self.discriminator()
        return _Name(inside + "::" + inner.text, inner.returns, inner.suffix)

    def discriminator(self) -> None:
        if self.take("__"):
            self.number()
            self.need("_")
        elif self.peek() == "_" and self.s[self.at + 1 : self.at + 2].isdigit():
            self.at += 2

    def unqualified(self, scope: str) -> tuple[str, bool]:
        """(name, True for constructors, destructors and conversions: they have no return type)."""
        here = self.peek()
        special = False
        if here.isdigit():
            length = self.number()
            words = self.s[self.at : self.at + length]
            if len(words) < length:
                raise _Unknown("cut short")
            self.at += length
            words = "(anonymous namespace)" if words.startswith("_GLOBAL__N") else words
        elif here == "C" and self.s[self.at + 1 : self.at + 2] in tuple("12345"):
            self.at += 2
            words, special = scope, True
        elif here == "D" and self.s[self.at + 1 : self.at + 2] in tuple("01245"):
            self.at += 2
            words, special = "~" + scope, True
        elif here == "L":
            self.at += 1
            return self.unqualified(scope)
        elif self.take("Ul"):
            words = "{lambda" + self.parameters()
            self.need("E")
            words += "#%d}" % (self.sequence() + 1)
        elif self.take("Ut"):
            words = "{unnamed type#%d}" % (self.sequence() + 1)
        elif self.take("cv"):
            words, special = "operator " + str(self.type()), True
        elif self.take("li"):
            words = 'operator"" ' + self.unqualified("")[0]
        elif self.peek(2) in OPERATORS:
            words = "operator" + OPERATORS[self.peek(2)]
            self.at += 2
        else:
            raise _Unknown("name")
        while self.take("B"):
            length = self.number()
            words += "[abi:%s]" % self.s[self.at : self.at + length]
            self.at += length
        return words, special

    def substitution(self) -> _Type:
        self.need("S")
        here = self.peek()
        if here in STANDARD:
            self.at += 1
            full = STANDARD[here]
            if here != "t" and self.peek() in ("C", "D") and self.s[self.at + 1 : self.at + 2].isdigit():
                full = FULL_NAMES.get(here, full)
            made = _Type(full)
            if self.peek() == "B":
                while self.take("B"):
                    length = self.number()
                    made = _Type(made.left + "[abi:%s]" % self.s[self.at : self.at + length])
                    self.at += length
                self.subs.append(made)
            return made
        index = self.sequence()
        if index >= len(self.subs):
            raise _Unknown("substitution")
        return self.subs[index]

    # -- templates
    def arguments(self) -> str:
        self.need("I")
        packs: dict[int, list[_Type]] = {}
        places: list[_Type] = []
        while not self.take("E"):
            if self.take("J"):
                members = []
                while not self.take("E"):
                    members.append(self.argument())
                packs[len(places)] = members
                places.append(_Type(_listed(members)))
            else:
                places.append(self.argument())
        self.args, self.packs = places, packs
        return _listed(places)

    def argument(self) -> _Type:
        self.take("Tp")
        if self.take("Tn"):  # the declared type of a constrained parameter comes before its argument
            saved = self.args, self.packs
            self.type()
            self.args, self.packs = saved
        if self.peek() == "L":
            return _Type(self.literal())
        if self.take("X"):
            words = self.expression()
            self.need("E")
            return _Type(words)
        return self.type()

    def template_parameter(self) -> _Type:
        self.need("T")
        index = self.sequence()
        if index >= len(self.args):
            raise _Unknown("template parameter")
        return self.args[index]

    def literal(self) -> str:
        self.need("L")
        if self.take("_Z"):
            saved = self.args, self.packs
            words = self.encoding()
            self.args, self.packs = saved
            self.need("E")
            return words
        kind = str(self.type())
        end = self.s.find("E", self.at)
        if end < 0:
            raise _Unknown("literal")
        value = self.s[self.at : end].replace("n", "-", 1)
        self.at = end + 1
        if kind == "bool" and value in ("0", "1"):
            return "true" if value == "1" else "false"
        suffix = {"int": "", "unsigned int": "u", "long": "l", "unsigned long": "ul", "long long": "ll",
                  "unsigned long long": "ull"}.get(kind)  # fmt: skip
        return "(%s)%s" % (kind, value) if suffix is None else value + suffix

    def expression(self) -> str:
        """The few expressions that occur in real template arguments."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _Unknown("too deep")
        try:
            if self.peek() == "T":
                return str(self.template_parameter())
            if self.peek() == "L":
                return self.literal()
            if self.take("sr"):
                return self.unresolved_name()
            if self.take("sp"):
                return self.expression() + "..."
            code = self.peek(2)
            if code in ("nt", "ng", "ad", "de", "co"):
                self.at += 2
                return "%s(%s)" % ({"ad": "&", "de": "*", "ng": "-"}.get(code, OPERATORS[code]), self.expression())
            if code in OPERATORS and code not in ("cl", "cv", "nw", "na", "ix", "qu"):
                self.at += 2
                left = self.expression()
                return "(%s)%s(%s)" % (left, OPERATORS[code], self.expression())
            raise _Unknown("expression")
        finally:
            self.depth -= 1

    def unresolved_name(self) -> str:
        """What follows ``sr``: qualifiers up to an E, or one type, and the member's name."""
        if self.peek().isdigit():
            parts = []
            while not self.take("E"):
                parts.append(self.simple_id())
            return "::".join([*parts, self.simple_id()])
        return str(self.type()) + "::" + self.simple_id()

    def simple_id(self) -> str:
        words = self.unqualified("")[0]
        return self.with_own_arguments(words) if self.peek() == "I" else words

    # -- types
    def type(self) -> _Type:
        return self.deeper(self._type)

    def _type(self) -> _Type:
        here = self.peek()
        if here in BUILTINS:
            self.at += 1
            return _Type(BUILTINS[here])
        if here == "D" and self.peek(2) in BUILTINS:
            self.at += 2
            return _Type(BUILTINS["D" + self.s[self.at - 1]])
        if here == "S" and self.peek(2) != "St":
            return self._named_substitution()
        made = self._compound(here)
        self.subs.append(made)
        return made

    def _named_substitution(self) -> _Type:
        known = self.substitution()
        if self.peek() != "I":
            return known
        made = _Type(self.with_own_arguments(str(known)))
        self.subs.append(made)
        return made

    def with_own_arguments(self, words: str) -> str:
        """A template-id inside a type: its arguments are not those that T_ of the function mean."""
        saved = self.args, self.packs
        shown = self.with_arguments(words)
        self.args, self.packs = saved
        return shown

    def _compound(self, here: str) -> _Type:
        if here in "rVK":
            words = ""
            for code, word in (("r", " __restrict"), ("V", " volatile"), ("K", " const")):
                if self.take(code):
                    words = words + word
            return self.type().qualified(words)
        if here in "PRO":
            self.at += 1
            return self.type().pointed({"P": "*", "R": "&", "O": "&&"}[here])
        if here == "F" or self.peek(2) in ("Do", "Dx"):
            return self._function()
        if here == "A":
            self.at += 1
            size = str(self.number()) if self.peek().isdigit() else "" if self.peek() == "_" else self.expression()
            self.need("_")
            element = self.type()
            return _Type(element.left + " ", "[%s]%s" % (size, element.right), "array")
        if here == "M":
            self.at += 1
            scope, member = str(self.type()), self.type()
            if member.kind == "function":
                return _Type("%s(%s::*" % (member.left, scope), ")" + member.right, "pointer")
            return _Type("%s %s::*" % (member, scope))
        if here == "T" and self.peek(2) not in ("Ts", "Tu", "Te"):
            return self._parameter_type()
        if self.take("Dp"):
            return self._expansion()
        if here == "U":
            self.at += 1
            words = self.unqualified("")[0]
            return self.type().qualified(" " + words)
        if self.take("u"):
            return _Type(self.unqualified("")[0])
        if self.take("G") or self.take("C"):
            return self.type()
        if here == "D":
            raise _Unknown("type")
        self.take("Ts") or self.take("Tu") or self.take("Te")
        saved = self.args, self.packs
        name = self.name()
        self.args, self.packs = saved
        return _Type(name.text)

    def _parameter_type(self) -> _Type:
        made = self.template_parameter()
        if self.peek() == "I":
            self.subs.append(made)
            return _Type(self.with_own_arguments(str(made)))
        return made

    def _expansion(self) -> _Type:
        """``Dp``: the pattern once for each member of the parameter pack that it mentions."""
        start = self.at
        if not self.packs:
            return self.type()
        number, members = next(iter(self.packs.items()))
        shown, end, kept = [], self.at, len(self.subs)
        saved, subs = list(self.args), self.subs
        for member in members or [_Type("")]:
            self.at, self.subs = start, subs[:kept]
            self.args[number] = member
            shown.append(str(self.type()))
            end = self.at
            if len(shown) * len(shown[-1]) > MAX_LENGTH:
                raise _Unknown("too long")
        self.args, self.at = saved, end
        if not members:
            shown = []
        return _Type(", ".join(one for one in shown if one))

    def _function(self) -> _Type:
        quality = " noexcept" if self.take("Do") else ""
        self.take("Dx")
        self.need("F")
        self.take("Y")
        returned = self.type()
        words = self.parameters()
        quality = (" &" if self.take("R") else " &&" if self.take("O") else "") + quality
        self.need("E")
        return _Type(returned.left + " ", words + returned.right + quality, "function")


def _listed(types: list[_Type]) -> str:
    return ", ".join(words for words in map(str, types) if words)


def _last_part(words: str) -> str:
    """The class that a constructor is named after: the last part of ``words`` without template arguments."""
    depth, end = 0, len(words)
    for at in range(len(words) - 1, -1, -1):
        char = words[at]
        if char == ">":
            depth += 1
        elif char == "<":
            depth -= 1
            if depth == 0:
                end = at
        elif char == ":" and depth == 0 and at and words[at - 1] == ":":
            return words[at + 1 : end].split("[abi:", 1)[0]
    return words[:end].split("[abi:", 1)[0]


class Parts:
    """A mangled name taken apart for comparing: what it is about, without its signature."""

    __slots__ = ("entity", "identifiers", "shown")

    def __init__(self, shown: str, entity: str, identifiers: list[str]) -> None:
        self.shown = shown  #: the whole declaration
        self.entity = entity  #: its qualified name, with what comes before (``typeinfo for``), without parameters
        self.identifiers = identifiers  #: the source names in the mangled name, outermost first, each with its length


def take_apart(name: str) -> Parts | None:
    """``name`` in parts; None where it is not a mangled name or beyond this parser."""
    if not name.startswith("_Z") or len(name) > MAX_LENGTH:
        return None
    parser = _Parser(name)
    parser.at = 2
    try:
        shown = parser.encoding()
    except (_Unknown, RecursionError, ValueError):
        return None
    if name[2:3] in ("T", "G") or not parser.name_end:
        entity, end = shown, len(name)
    else:
        entity, end = parser.named, parser.name_end
    identifiers: list[str] = []
    at, depth = 2, 0
    while at < end:
        char = name[at]
        if char.isdigit():
            start = at
            while name[at : at + 1].isdigit():
                at += 1
            stop = at + int(name[start:at])
            if depth == 0:
                identifiers.append(name[start:stop])
            at = stop
            continue
        depth += (char == "I") - (char == "E" and depth > 0)
        if char == "S":  # a substitution: S_, S1_, St …
            at = name.find("_", at) if name[at + 1 : at + 2] in tuple("_0123456789") else at + 1
        at += 1
    return Parts(shown, entity, identifiers)


def demangle(name: str) -> str:
    """The declaration that ``name`` stands for, as c++filt writes it; ``name`` itself where it is none."""
    if not name.startswith("_Z") or len(name) > MAX_LENGTH:
        return name
    parser = _Parser(name)
    parser.at = 2
    try:
        shown = parser.encoding()
        rest = name[parser.at :]
        if rest and rest[0] not in ".@":
            return name
        return shown + (" [clone %s]" % rest if rest.startswith(".") else rest)
    except (_Unknown, RecursionError, ValueError):
        return name
