"""When a build fails for want of the CUDA code that was left out of it: said as such, with what would change it."""

from __future__ import annotations

import os

from dlrepair.build.nvcc import CPU_ONLY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from dlrepair.model.build import Recipe
    from dlrepair.model.built import BuildResult

#: identifiers of a CUDA source that are read
_MAX_TEXT = 1 << 20
#: a shorter identifier proves nothing
_MIN_NAME = 6


def find_recipes(wanted: str, anchors: Sequence[str], *, root: str) -> list[Recipe]:
    """``recipes.find_recipes`` for a command that is not in the failing process: which knows of CUDA what that knows.

    Of two recipes for one library the one without CUDA parts comes first where they would not be compiled: the
    TensorFlow of this environment is asked whether it is a CUDA build, once, and only where a recipe has such parts.
    """
    from dlrepair.build import recipes, toolchain

    found = recipes.find_recipes(wanted, anchors, root=root)
    if not any(one.cuda or one.cuda_sources for one in found) or all(one.cuda_sources for one in found):
        return found
    try:
        compiled = toolchain.find_tensorflow().cuda
    except toolchain.NoToolchain:
        return found
    return found if compiled else recipes.find_recipes(wanted, anchors, root=root, cuda=False)


def missed(recipe: Recipe, result: BuildResult, error: str) -> str:
    """Why ``error`` comes of CUDA code that was left out, as one sentence; "" where it does not.

    It does where a header of CUDA's is missing, or where a symbol that nothing defines is one of the CUDA sources', or
    where there is no other source.
    """
    notes = [note[len(CPU_ONLY) :] for note in result.notes if note.startswith(CPU_ONLY)]
    if not recipe.cuda_sources or not notes:
        return ""
    if recipe.sources and not (is_header(error) or _is_symbol(recipe, error)):
        return ""
    names = ", ".join(os.path.basename(one) for one in recipe.cuda_sources[:3])
    return "it has no kernels without {}, which is CUDA code: {}".format(names, notes[0])


def command(result: BuildResult) -> str:
    """What gets a TensorFlow, or a compiler, for which CUDA code can be built."""
    import sys

    python = os.path.basename(sys.executable) or "python"
    if not any("not a CUDA build" in note for note in result.notes):
        return "export CUDA_HOME=…  # the directory of a CUDA toolkit: its bin/nvcc is what is missing"
    numbers = [int(one) for one in result.tensorflow.split(".")[:2] if one.isdigit()]
    if numbers[:1] == [1]:
        return "{} -m pip install tensorflow-gpu=={}".format(python, result.tensorflow)
    extra = "'tensorflow[and-cuda]=={}'" if numbers >= [2, 14] else "tensorflow=={}"
    return "{} -m pip install {}".format(python, extra.format(result.tensorflow))


def is_header(error: str) -> bool:
    """Whether what is missing is a header of CUDA's."""
    import re

    names = r"cu(?:da|blas|dnn|fft|rand|sparse|solver|pti|til)\w*|cooperative_groups|nvml|nvrtc|nvtx\w*"
    return bool(re.search(r"\b(?:(?:{})|(?:thrust|cub)/\S+)\.(?:h|hpp|cuh): No such file".format(names), error))


def _is_symbol(recipe: Recipe, error: str) -> bool:
    import re

    if not any(words in error for words in ("defines", "undefined reference", "undefined symbol")):
        return False
    names = {name for name in re.findall(r"[A-Za-z_]\w*", error) if len(name) >= _MIN_NAME}
    for path in recipe.cuda_sources:
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                text = stream.read(_MAX_TEXT)
        except (OSError, ValueError):
            continue
        if any(re.search(r"\b{}\s*[(<]".format(name), text) for name in names):
            return True
    return False
