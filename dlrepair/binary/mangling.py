"""Itanium C++ ABI mangling, section 5.1: its tables, and the steps and values that both parsers share."""

from __future__ import annotations

MAX_DEPTH = 160
MAX_LENGTH = 1 << 16

BUILTINS = {
    "v": "void", "w": "wchar_t", "b": "bool", "c": "char", "a": "signed char", "h": "unsigned char", "s": "short",
    "t": "unsigned short", "i": "int", "j": "unsigned int", "l": "long", "m": "unsigned long", "x": "long long",
    "y": "unsigned long long", "n": "__int128", "o": "unsigned __int128", "f": "float", "d": "double",
    "e": "long double", "g": "__float128", "z": "...", "Dd": "decimal64", "De": "decimal128", "Df": "decimal32",
    "Dh": "half", "Di": "char32_t", "Ds": "char16_t", "Du": "char8_t", "Da": "auto", "Dc": "decltype(auto)",
    "Dn": "decltype(nullptr)",
}  # fmt: skip

OPERATORS = {
    "nw": " new", "na": " new[]", "dl": " delete", "da": " delete[]", "ps": "+", "ng": "-", "ad": "&", "de": "*",
    "co": "~", "pl": "+", "mi": "-", "ml": "*", "dv": "/", "rm": "%", "an": "&", "or": "|", "eo": "^", "aS": "=",
    "pL": "+=", "mI": "-=", "mL": "*=", "dV": "/=", "rM": "%=", "aN": "&=", "oR": "|=", "eO": "^=", "ls": "<<",
    "rs": ">>", "lS": "<<=", "rS": ">>=", "eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">=",
    "ss": "<=>", "nt": "!", "aa": "&&", "oo": "||", "pp": "++", "mm": "--", "cm": ",", "pm": "->*", "pt": "->",
    "cl": "()", "ix": "[]", "qu": "?", "aw": " co_await",
}  # fmt: skip

STANDARD = {
    "t": "std", "a": "std::allocator", "b": "std::basic_string", "s": "std::string", "i": "std::istream",
    "o": "std::ostream", "d": "std::iostream",
}  # fmt: skip

#: what the abbreviations stand for where a constructor or destructor follows
FULL_NAMES = {
    "s": "std::basic_string<char, std::char_traits<char>, std::allocator<char> >",
    "i": "std::basic_istream<char, std::char_traits<char> >",
    "o": "std::basic_ostream<char, std::char_traits<char> >",
    "d": "std::basic_iostream<char, std::char_traits<char> >",
}

#: (code, words before the entity)
SPECIAL = (
    ("TV", "vtable for "), ("TT", "VTT for "), ("TI", "typeinfo for "), ("TS", "typeinfo name for "),
    ("TC", "construction vtable for "), ("Th", "non-virtual thunk to "), ("Tv", "virtual thunk to "),
    ("TW", "TLS wrapper function for "), ("TH", "TLS init function for "), ("GV", "guard variable for "),
    ("GR", "reference temporary "), ("GTt", "transaction clone for "), ("GA", "hidden alias for "),
)  # fmt: skip


class Unknown(Exception):
    """Not a mangled name, or one beyond this parser."""


class Type:
    """A declarator in two halves: ``left name right``, as in ``void (*`` … ``)(int)``."""

    __slots__ = ("kind", "left", "right")

    def __init__(self, left: str, right: str = "", kind: str = "") -> None:
        if len(left) + len(right) > MAX_LENGTH:
            raise Unknown("too long")
        self.left, self.right, self.kind = left, right, kind

    def __str__(self) -> str:
        return self.left + self.right

    def pointed(self, mark: str) -> Type:
        """A pointer or reference to it."""
        if self.kind in ("function", "array"):
            gap = "" if self.left.endswith(" ") else " "
            return Type(self.left + gap + "(" + mark, (") " if self.kind == "array" else ")") + self.right, "pointer")
        if mark in ("&", "&&") and self.left.endswith("&"):  # references to references collapse
            return Type(self.left[:-1], self.right, self.kind) if mark == "&" and self.left.endswith("&&") else self
        return Type(self.left + mark, self.right, self.kind)

    def qualified(self, words: str) -> Type:
        """It with `` const`` or `` volatile``."""
        if self.kind == "function":
            return Type(self.left, self.right + words, self.kind)
        if self.kind == "array":
            return Type(self.left.rstrip() + words + " ", self.right, self.kind)
        return Type(self.left + words, self.right, self.kind)


class Name:
    """A parsed name and what the rest of the encoding depends on."""

    __slots__ = ("returns", "suffix", "text")

    def __init__(self, text: str, returns: bool = False, suffix: str = "") -> None:
        self.text, self.returns, self.suffix = text, returns, suffix


class Cursor:
    """A place in a mangled name, and what was seen before it."""

    def __init__(self, words: str) -> None:
        self.s, self.at, self.depth = words, 0, 0
        self.subs: list[Type] = []
        self.args: list[Type] = []  #: arguments of the template whose parameters T_ stand for
        self.packs: dict[int, list[Type]] = {}
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
            raise Unknown("expected %s" % words)

    def number(self) -> int:
        start = self.at
        while self.peek().isdigit():
            self.at += 1
        if start == self.at or self.at - start > 9:
            raise Unknown("number")
        return int(self.s[start : self.at])

    def sequence(self) -> int:
        """An index ``_``, ``0_``, ``1_`` …: 0, 1, 2 (base 36)."""
        start = self.at
        while self.peek().isdigit() or "A" <= self.peek() <= "Z":
            self.at += 1
        digits = self.s[start : self.at]
        self.need("_")
        if len(digits) > 6:
            raise Unknown("index")
        return int(digits, 36) + 1 if digits else 0


def listed(types: list[Type]) -> str:
    return ", ".join(words for words in map(str, types) if words)


def last_part(words: str) -> str:
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
