"""Whether a recipe's output is the library that was wanted, by its name.

The rules and their order are those of a survey of real recipes: ``lib`` and ``tf_`` before, ``_op``, ``_so``
behind, a Python tag, a hash. A TensorFlow version in a name is part of it; ``_cpu`` twins compute the same on
another device and come last.
"""

from __future__ import annotations

import re

from dlrepair.build.recipes.text import PYTHON, is_known, without_unknown

#: How far an output's name is from the wanted one; what is not here does not fit.
RULES = {
    "exact": 0,
    "python-suffix": 1,
    "prefix": 2,
    "variant": 3,
    "hash": 4,
    "unknown-part": 5,
    "ops": 6,
    "twin": 7,
    "stem": 8,
}

_SUFFIX = re.compile(r"\.(?:so(?:\.\d+)*|dylib|dll|pyd)$")
_TAG = re.compile(r"\.(?:cpython|abi3|pypy|graalpy|cp3)[\w-]*$")
_HASH = re.compile(r"_[0-9a-f]{16,64}(?:_tmp)?$")
_BEFORE = re.compile(r"^(?:lib)?_?(?:tf_)?")
_BEHIND = re.compile(r"(?:_ops?|_so|_kernels?|_module|_lib)$")
_TWIN = re.compile(r"_(?:cpu|gpu|cuda)(?=_|$)")
_GENERIC = frozenset("op ops so lib libs module kernel kernels core custom user main build test tf".split())


def stem(name: str) -> str:
    """Return a library's name without directory, ending, version and Python tag."""
    base = name.rsplit("/", 1)[-1]
    return _TAG.sub("", _SUFFIX.sub("", base))


def core(name: str) -> str:
    """Return what is left of a stem without ``lib``, ``tf_``, ``_op`` and the like; never a word that says nothing."""
    plain = stem(name)
    for pattern in (_BEHIND, _BEFORE, _BEHIND, _BEFORE):
        shorter = pattern.sub("", plain)
        if len(shorter) > 1 and shorter.lower().strip("_") not in _GENERIC:
            plain = shorter
    return plain


def fit(output: str, wanted: str) -> str:
    """Return the rule (a key of ``RULES``) by which ``output`` is the wanted library, "" if it is another one."""
    have, want = output.rsplit("/", 1)[-1], wanted.rsplit("/", 1)[-1]
    if not have or not want:
        return ""
    if have == want:
        return "exact"
    if not is_known(have):
        known = without_unknown(have).replace(PYTHON, ".so")  # the suffix that Python gives its modules
        if stem(known) and stem(known) == stem(want):
            return "python-suffix"
        return "unknown-part" if len(stem(known)) > 2 and stem(known).strip("_") in stem(want) else ""
    left, right = stem(have), stem(want)
    if left == right:
        return "python-suffix"
    if left in ("lib" + right, right[3:] if right.startswith("lib") else ""):
        return "prefix"
    if _HASH.sub("", left) == _HASH.sub("", right):
        return "hash"
    if core(have) == core(want):
        return "variant"
    return "twin" if core(_TWIN.sub("", left)) == core(_TWIN.sub("", right)) else ""
