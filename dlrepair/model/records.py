"""Frozen dataclasses without the module ``dataclasses``, whose import and whose generated code cost 30 ms.

All of that would be paid for inside a failing load. Type checkers see the standard library's own; at run time a class
decorated here behaves as one decorated with ``dataclasses.dataclass(frozen=True)``: ``dataclasses.fields``, ``asdict``
and ``replace`` take its instances (PEP 557). Defaults are immutable values; there is no inheritance.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import replace as replace
else:

    class _Fields:
        """What the standard library asks of a dataclass (``__dataclass_fields__``), made when it is asked for."""

        def __get__(self, instance, owner):
            import dataclasses

            body = {name: owner.__dict__[name] for name in owner.__match_args__ if name in owner.__dict__}
            body["__annotations__"] = owner.__annotations__
            fields = dataclasses.dataclass(type(owner.__name__, (), body)).__dataclass_fields__
            owner.__dataclass_fields__ = fields
            return fields

    def dataclass(*, frozen):
        """Return the decorator of a class whose annotated names are its fields."""
        assert frozen
        return _define

    def _define(cls):
        names = tuple(cls.__annotations__)
        defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
        places = {name: at for at, name in enumerate(names)}

        def __init__(self, *values, **named):
            own = self.__dict__
            own.update(defaults)
            own.update(zip(names, values))
            own.update(named)
            given = len(values)
            for name in named:
                if places.get(name, -1) < given:  # unknown, or given twice
                    raise TypeError("{}: unexpected argument {!r}".format(cls.__name__, name))
            if given > len(names) or len(own) != len(names):
                raise TypeError("{} takes {}".format(cls.__name__, ", ".join(names)))

        cls.__init__ = __init__
        cls.__match_args__ = names
        cls.__dataclass_fields__ = _Fields()
        cls.__eq__ = _is_equal
        cls.__hash__ = _hash
        cls.__repr__ = _text
        cls.__setattr__ = _refuse
        cls.__delattr__ = _refuse
        return cls

    def _is_equal(self, other):
        return self.__dict__ == other.__dict__ if other.__class__ is self.__class__ else NotImplemented

    def _hash(self):
        own = self.__dict__
        return hash(tuple([own[name] for name in self.__match_args__]))

    def _text(self):
        shown = ["{}={!r}".format(name, self.__dict__[name]) for name in self.__match_args__]
        return "{}({})".format(self.__class__.__qualname__, ", ".join(shown))

    def _refuse(self, name, value=None):
        import dataclasses

        raise dataclasses.FrozenInstanceError("cannot change field {!r}".format(name))

    def replace(record, **changes):
        """Return a copy of ``record`` with other values in some fields."""
        return record.__class__(**{**record.__dict__, **changes})
