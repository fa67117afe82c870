"""An extension module that no finder found, though it was built for another Python or its sources are here.

The import system looks for the names of ``importlib.machinery.EXTENSION_SUFFIXES`` in each directory of the parent's
``__path__`` and passes over a file with another tag without a word (PEP 3149).
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.model.build import Recipe
    from dlrepair.model.diagnosis import Diagnosis, Symptom

#: seconds for the reading of build files: the program has ended, its user waits for the prompt
_SECONDS = 1.0
_MAX_PLACES = 50


def explain(wanted: str, symptom: Symptom) -> Diagnosis | None:
    """Why the import system passes over what lies where ``wanted`` is looked for; None where nothing of it is there."""
    directory, name = os.path.split(wanted)
    others = other_builds(directory, name.partition(".")[0])
    return _built_for_another(directory, name, others, symptom) if others else None


def diagnose(module: str, symptom: Symptom) -> Diagnosis | None:
    """Why ``module`` was not found, where a file or a build file tells; None where it is simply not installed."""
    from dlrepair.search import names

    leaf = module.rpartition(".")[2]
    suffix = names.extension_suffixes()[0]
    for directory in _places(module):
        others = other_builds(directory, leaf)
        if others:
            return _built_for_another(directory, leaf + suffix, others, symptom)
    for directory in _places(module):
        recipe = _recipe(directory, leaf, leaf + suffix)
        if recipe is not None:
            return _never_built(os.path.join(directory, leaf + suffix), module, recipe, symptom)
    return None


def place_of(diagnosis: Diagnosis) -> str:
    """Where the import system would find the module that is to be built; "" where an installation is the way."""
    if not diagnosis.next_step.startswith("dlrepair fix --write "):
        return ""
    other = next((one.value for one in diagnosis.evidence if one.key == "python"), "")
    path = diagnosis.failing_object or ""
    return os.path.join(os.path.dirname(path), other) if other else path


def _places(module: str) -> list[str]:
    """Directories in which the import system looks for the file of ``module`` and that exist."""
    parent = module.rpartition(".")[0]
    known = getattr(sys.modules.get(parent), "__path__", None) if parent else sys.path
    try:
        places = [one for one in known or () if type(one) is str]
    except Exception:  # a __path__ of the user's own making
        places = []
    if parent and not places:  # a package whose own import failed is in sys.modules no more
        places = [os.path.join(one, *parent.split(".")) for one in sys.path if type(one) is str]
    # "" of sys.path is the working directory
    found = dict.fromkeys(os.path.abspath(one) for one in places[:_MAX_PLACES])
    return [one for one in found if os.path.isdir(one)]


def other_builds(directory: str, leaf: str) -> list[str]:
    """File names of the same extension module under tags that this interpreter does not look for."""
    from dlrepair.search import names

    own = names.extension_suffixes()
    try:
        entries = sorted(os.listdir(directory))
    except OSError:
        return []
    return [
        one
        for one in entries
        if one.startswith(leaf + ".") and names.split(one)[:2] != (leaf, "") and names.split(one)[0] == leaf
        and names.split(one)[2] and one[len(leaf) :] not in own
    ]  # fmt: skip


def _recipe(directory: str, leaf: str, name: str) -> Recipe | None:
    """The recipe of a file that would be found: by a build file, or by sources that define the module's entry."""
    import time

    from dlrepair.build.recipes import find_recipes
    from dlrepair.diagnose import rules_file
    from dlrepair.search import roots

    wanted = os.path.join(directory, name)
    if (directory + "/").startswith((sys.prefix + "/", sys.base_prefix + "/")):
        return None  # Python's own directories: what lies above them is no project
    root = roots.project_root(directory)
    if root is None or roots.installed_package(directory) or rules_file.package_of(wanted):
        return None
    for recipe in find_recipes(wanted, [directory], root=root, deadline=time.monotonic() + _SECONDS):
        if recipe.sources and not recipe.missing and any(_defines(one, leaf) for one in recipe.sources):
            return recipe
    return None


def _defines(source: str, leaf: str) -> bool:
    """Whether a source mentions the entry of the module, or a macro that makes it (pybind11, Boost.Python)."""
    try:
        with open(source, "rb") as stream:
            text = stream.read(2 << 20).decode("latin-1").replace(" ", "")
    except OSError:
        return False
    entries = ("PyInit_" + leaf, "PYBIND11_MODULE(" + leaf, "BOOST_PYTHON_MODULE(" + leaf)
    return any(one in text for one in entries) or "TORCH_EXTENSION_NAME" in text


def _built_for_another(directory: str, name: str, others: list[str], symptom: Symptom) -> Diagnosis:
    from dlrepair.diagnose.rules_file import package_of
    from dlrepair.diagnose.rules_symbols import own_tag
    from dlrepair.model.diagnosis import Diagnosis, Evidence

    path = os.path.join(directory, others[0])
    package = package_of(path)
    evidence = (
        Evidence("other-python", "{} is for another Python".format(path), others[0]),
        Evidence("python", "this is {}: it looks for {}".format(own_tag(), name), name),
    )
    step = (
        "{} -m pip install --force-reinstall --no-cache-dir {}".format(sys.executable, package)
        if package
        else _command(os.path.join(directory, name))
    )
    return Diagnosis("python-abi", symptom, path, evidence=evidence, next_step=step)


def _never_built(wanted: str, module: str, recipe: Recipe, symptom: Symptom) -> Diagnosis:
    from dlrepair.model.diagnosis import Diagnosis, Evidence

    source = "{}:{}".format(recipe.file, recipe.line) if recipe.file else (recipe.sources or recipe.cuda_sources)[0]
    evidence = (
        Evidence("no-such-file", "{}: no such file".format(wanted), wanted),
        Evidence("recipe", "{} says how {} is built".format(source, module), source),
    )
    return Diagnosis("file-missing", symptom, wanted, evidence=evidence, next_step=_command(wanted))


def _command(wanted: str) -> str:
    """Builds the file from its sources, or takes one that fits, and puts it where the import system looks."""
    from dlrepair.diagnose.rule import quote

    return "dlrepair fix --write {}".format(quote(wanted))
