"""Where this package and its template lie: in a wheel, or in the checkout of an editable install."""

from __future__ import annotations

import os

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def find_home() -> str:
    """The directory that holds the running dlrepair package."""
    return os.path.dirname(_PACKAGE)


def find_template() -> str:
    """The directory of the template ``sitecustomize.py``. Raises FileNotFoundError where neither place has it."""
    for place in (os.path.join(_PACKAGE, "_template"), os.path.join(find_home(), "sitecustomize_template")):
        if os.path.isfile(os.path.join(place, "sitecustomize.py")):
            return place
    raise FileNotFoundError("this installation of dlrepair lacks _template/sitecustomize.py")


def read_stage0() -> str:
    """The source of stage 0."""
    with open(os.path.join(_PACKAGE, "_bootstrap.py"), encoding="utf-8") as handle:
        return handle.read()


def read_template() -> str:
    """The source of the template."""
    with open(os.path.join(find_template(), "sitecustomize.py"), encoding="utf-8") as handle:
        return handle.read()
