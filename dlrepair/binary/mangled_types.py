"""Types, template arguments and expressions inside mangled C++ names (Itanium C++ ABI, section 5.1.5)."""

from __future__ import annotations

from dlrepair.binary.mangling import BUILTINS, MAX_DEPTH, MAX_LENGTH, OPERATORS, Cursor, Type, Unknown, listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.binary.mangling import Name


class TypeParser(Cursor):
    """The part of the parser that reads types; names are the subclass's."""

    if TYPE_CHECKING:

        def encoding(self, returns: bool = True) -> str: ...
        def name(self) -> Name: ...
        def parameters(self) -> str: ...
        def substitution(self) -> Type: ...
        def unqualified(self, scope: str) -> tuple[str, bool]: ...
        def with_arguments(self, words: str) -> str: ...

    # -- templates
    def arguments(self) -> str:
        self.need("I")
        packs: dict[int, list[Type]] = {}
        places: list[Type] = []
        while not self.take("E"):
            if self.take("J"):
                members = []
                while not self.take("E"):
                    members.append(self.argument())
                packs[len(places)] = members
                places.append(Type(listed(members)))
            else:
                places.append(self.argument())
        self.args, self.packs = places, packs
        return listed(places)

    def argument(self) -> Type:
        self.take("Tp")
        if self.take("Tn"):  # the declared type of a constrained parameter comes before its argument
            saved = self.args, self.packs
            self.type()
            self.args, self.packs = saved
        if self.peek() == "L":
            return Type(self.literal())
        if self.take("X"):
            words = self.expression()
            self.need("E")
            return Type(words)
        return self.type()

    def template_parameter(self) -> Type:
        self.need("T")
        index = self.sequence()
        if index >= len(self.args):
            raise Unknown("template parameter")
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
            raise Unknown("literal")
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
            raise Unknown("too deep")
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
            raise Unknown("expression")
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
    def type(self) -> Type:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unknown("too deep")
        try:
            return self._type()
        finally:
            self.depth -= 1

    def _type(self) -> Type:
        here = self.peek()
        if here in BUILTINS:
            self.at += 1
            return Type(BUILTINS[here])
        if here == "D" and self.peek(2) in BUILTINS:
            self.at += 2
            return Type(BUILTINS["D" + self.s[self.at - 1]])
        if here == "S" and self.peek(2) != "St":
            return self._named_substitution()
        made = self._compound(here)
        self.subs.append(made)
        return made

    def _named_substitution(self) -> Type:
        known = self.substitution()
        if self.peek() != "I":
            return known
        made = Type(self.with_own_arguments(str(known)))
        self.subs.append(made)
        return made

    def with_own_arguments(self, words: str) -> str:
        """A template-id inside a type: its arguments are not those that T_ of the function mean."""
        saved = self.args, self.packs
        shown = self.with_arguments(words)
        self.args, self.packs = saved
        return shown

    def _compound(self, here: str) -> Type:
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
            return Type(element.left + " ", "[%s]%s" % (size, element.right), "array")
        if here == "M":
            self.at += 1
            scope, member = str(self.type()), self.type()
            if member.kind == "function":
                return Type("%s(%s::*" % (member.left, scope), ")" + member.right, "pointer")
            return Type("%s %s::*" % (member, scope))
        if here == "T" and self.peek(2) not in ("Ts", "Tu", "Te"):
            return self._parameter_type()
        if self.take("Dp"):
            return self._expansion()
        if here == "U":
            self.at += 1
            words = self.unqualified("")[0]
            return self.type().qualified(" " + words)
        if self.take("u"):
            return Type(self.unqualified("")[0])
        if self.take("G") or self.take("C"):
            return self.type()
        if here == "D":
            raise Unknown("type")
        self.take("Ts") or self.take("Tu") or self.take("Te")
        saved = self.args, self.packs
        name = self.name()
        self.args, self.packs = saved
        return Type(name.text)

    def _parameter_type(self) -> Type:
        made = self.template_parameter()
        if self.peek() == "I":
            self.subs.append(made)
            return Type(self.with_own_arguments(str(made)))
        return made

    def _expansion(self) -> Type:
        """``Dp``: the pattern once for each member of the parameter pack that it mentions."""
        start = self.at
        if not self.packs:
            return self.type()
        number, members = next(iter(self.packs.items()))
        shown, end, kept = [], self.at, len(self.subs)
        saved, subs = list(self.args), self.subs
        for member in members or [Type("")]:
            self.at, self.subs = start, subs[:kept]
            self.args[number] = member
            shown.append(str(self.type()))
            end = self.at
            if len(shown) * len(shown[-1]) > MAX_LENGTH:
                raise Unknown("too long")
        self.args, self.at = saved, end
        if not members:
            shown = []
        return Type(", ".join(one for one in shown if one))

    def _function(self) -> Type:
        quality = " noexcept" if self.take("Do") else ""
        self.take("Dx")
        self.need("F")
        self.take("Y")
        returned = self.type()
        words = self.parameters()
        quality = (" &" if self.take("R") else " &&" if self.take("O") else "") + quality
        self.need("E")
        return Type(returned.left + " ", words + returned.right + quality, "function")
