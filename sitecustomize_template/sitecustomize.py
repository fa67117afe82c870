# <stage 0>
# `dlrepair run` puts this directory on PYTHONPATH: stage 0 then comes from the package itself.
# `dlrepair install` writes stage 0, HOME and KEPT in place of these lines.
import os
import sys

HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if os.path.basename(HOME) == "dlrepair":  # installed: dlrepair/_template
    HOME = os.path.dirname(HOME)
KEPT = ""
sys.path[:] = [_entry for _entry in sys.path if _entry != os.path.dirname(__file__)]
try:
    _loader = sys.modules["_frozen_importlib_external"].SourceFileLoader
    _stage0 = _loader("dlrepair._bootstrap", HOME + "/dlrepair/_bootstrap.py")
    exec(_stage0.get_code("dlrepair._bootstrap"), globals())
except Exception:  # the package is gone, or this is a Python of another age

    def arm(home):
        return None


# </stage 0>
arm(HOME)


# <chain>
def _find_next():
    """The spec of the sitecustomize that this file stands in front of, or None."""
    external = sys.modules.get("_frozen_importlib_external")
    here = os.path.dirname(__file__)
    if KEPT and os.path.isfile(here + "/" + KEPT):
        return external.spec_from_file_location("sitecustomize", here + "/" + KEPT)
    after = sys.path[sys.path.index(here) + 1 :] if here in sys.path else sys.path
    return external.PathFinder.find_spec("sitecustomize", after) if after and external else None


def _run_next():
    """Runs it as if it had been found first: under its own name, and with its own exceptions."""
    spec = _find_next()
    if spec is None or spec.loader is None or spec.origin is None:
        return
    module = sys.modules["_frozen_importlib"].module_from_spec(spec)
    if KEPT and os.path.basename(spec.origin) == KEPT:
        module.__file__ = __file__  # the place that it was written for
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


_run_next()
# </chain>
