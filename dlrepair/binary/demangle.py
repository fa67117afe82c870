"""C++ names in their readable form: the Itanium C++ ABI's mangling, read by a small parser of our own.

libstdc++'s ``__cxa_demangle`` would have to be loaded into the user's process, and recurses
without a limit on hostile names. This one is bounded in depth and length; what it does
not know (rare template expressions) stays mangled.
Grammar: Itanium C++ ABI, section 5.1. Spelling: that of GNU c++filt.
"""

from __future__ import annotations

from dlrepair.binary.mangled_types import TypeParser
from dlrepair.binary.mangling import (
    FULL_NAMES,
    MAX_LENGTH,
    OPERATORS,
    SPECIAL,
    STANDARD,
    Name,
    Type,
    Unknown,
    last_part,
)


class _Parser(TypeParser):
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

    def name(self) -> Name:
        if self.take("N"):
            return self.nested()
        if self.take("Z"):
            return self.local()
        if self.peek() == "S" and self.peek(2) != "St":
            known = self.substitution()
            if self.peek() == "I":
                return Name(self.with_arguments(str(known)), True)
            return Name(str(known))
        plain, special = self.unscoped()
        if self.peek() == "I":
            self.subs.append(Type(plain))
            return Name(self.with_arguments(plain), not special)
        return Name(plain)

    def unscoped(self) -> tuple[str, bool]:
        prefix = "std::" if self.take("St") else ""
        words, special = self.unqualified("")
        return prefix + words, special

    def with_arguments(self, words: str) -> str:
        shown = self.arguments()
        gap = " " if words.endswith("<") else ""
        return "%s%s<%s%s>" % (words, gap, shown, " " if shown.endswith(">") else "")

    def nested(self) -> Name:
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
                    raise Unknown("arguments of nothing")
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
                words, special = self.unqualified(last_part(so_far))
                so_far, last, returns = (
                    (so_far + "::" if so_far else "") + words,
                    "special" if special else words,
                    False,
                )
            first = False
            if self.take("M"):
                pass
            if self.peek() != "E":
                self.subs.append(Type(so_far))
        if first:
            raise Unknown("empty name")
        return Name(so_far, returns, suffix)

    def local(self) -> Name:
        inside = self.encoding(returns=False)
        self.need("E")
        if self.take("s"):
            self.discriminator()
            return Name(inside + "::string literal")
        if self.take("d"):
            count = self.sequence()
            inner = self.name()
            return Name("%s::{default arg#%d}::%s" % (inside, count + 1, inner.text), inner.returns, inner.suffix)
        inner = self.name()
        self.discriminator()
        return Name(inside + "::" + inner.text, inner.returns, inner.suffix)

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
                raise Unknown("cut short")
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
            raise Unknown("name")
        while self.take("B"):
            length = self.number()
            words += "[abi:%s]" % self.s[self.at : self.at + length]
            self.at += length
        return words, special

    def substitution(self) -> Type:
        self.need("S")
        here = self.peek()
        if here in STANDARD:
            self.at += 1
            full = STANDARD[here]
            if here != "t" and self.peek() in ("C", "D") and self.s[self.at + 1 : self.at + 2].isdigit():
                full = FULL_NAMES.get(here, full)
            made = Type(full)
            if self.peek() == "B":
                while self.take("B"):
                    length = self.number()
                    made = Type(made.left + "[abi:%s]" % self.s[self.at : self.at + length])
                    self.at += length
                self.subs.append(made)
            return made
        index = self.sequence()
        if index >= len(self.subs):
            raise Unknown("substitution")
        return self.subs[index]


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
    except (Unknown, RecursionError, ValueError):
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
    except (Unknown, RecursionError, ValueError):
        return name
