"""What kind of code a frame runs: a loader, plumbing that catches everything, a build, or the user's own."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Mapping

# normcase is the identity on POSIX; os.__file__ is the only stdlib path known without importing sysconfig
_STDLIB = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_STDLIB_REAL = os.path.realpath(_STDLIB) + os.sep
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PACKAGES = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)

#: Python layers of the loaders themselves: path endings within a stdlib or packages directory.
_LOADER_STDLIB = ("ctypes/", "importlib/", "imp.py", "zipimport.py", "pkgutil.py")
_LOADER_PACKAGES = (
    "cffi/api.py", "numpy/ctypeslib.py", "numpy/ctypeslib/", "torch/_ops.py", "torch/_classes.py",
    "tensorflow/python/framework/load_library.py", "tensorflow/contrib/util/loader.py",
    "tensorflow/python/platform/resource_loader.py", "tensorflow/python/util/", "tensorflow/python/lib/core/",
    "tensorflow_core/python/framework/load_library.py", "tensorflow_core/contrib/util/loader.py",
    "tensorflow_core/python/platform/resource_loader.py", "tensorflow_core/python/util/",
)  # fmt: skip

#: Packages that run other people's code and catch what it raises: their handlers decide nothing about a library.
_PLUMBING = frozenset((
    "pytest", "_pytest", "pluggy", "xdist", "execnet", "nose", "hypothesis", "IPython", "ipykernel", "traitlets",
    "tornado", "zmq", "jupyter_client", "nbclient", "papermill", "absl", "dask", "distributed", "ray", "joblib",
    "loky", "cloudpickle", "tqdm", "click", "typer", "fire", "hydra", "coverage", "debugpy", "pydevd",
    "_pydevd_bundle", "_pydev_bundle", "_pydevd_frame_eval", "gunicorn", "uvicorn", "hypercorn", "waitress",
    "werkzeug", "flask", "django", "starlette", "celery", "gevent", "eventlet", "cherrypy", "aiohttp",
))  # fmt: skip

#: Modules of the standard library that do the same.
_RUNNERS = frozenset((
    "runpy", "threading", "_threading_local", "concurrent", "asyncio", "multiprocessing", "unittest", "doctest",
    "pdb", "bdb", "cProfile", "profile", "trace", "timeit", "code", "codeop", "socketserver", "http", "wsgiref",
    "xmlrpc", "pydoc", "contextlib", "functools", "idlelib", "test", "atexit", "sched", "queue", "weakref",
))  # fmt: skip

#: Packages whose presence on the stack means that something is being built or configured.
_BUILDERS = frozenset((
    "distutils", "setuptools", "pip", "skbuild", "scikit_build_core", "mesonpy", "hatchling", "poetry", "flit_core",
    "pdm", "maturin", "pyproject_hooks", "_pyproject_hooks", "pep517", "build", "conda_build",
))  # fmt: skip
_BUILD_PROGRAMS = ("setup.py", "_in_process.py")

#: Kinds of code whose handlers count: in the standard library those that name an exception (``shutil`` without
#: ``bz2``), in the user's code all.
COUNTING = ("user", "stdlib")

_kinds: dict[str, str] = {}


def kind_of_file(name: str) -> str:
    """``ours``, ``loader``, ``plumbing``, ``build``, ``stdlib`` or ``user`` for a ``co_filename``. Remembered."""
    kind = _kinds.get(name)
    if kind is None:
        if len(_kinds) > 4096:
            _kinds.clear()
        kind = _kinds[name] = _kind_of_file(name)
    return kind


def _kind_of_file(name: str) -> str:
    if name.startswith("<frozen "):
        return "loader" if "importlib" in name or "zipimport" in name else "plumbing"
    if name.startswith(_OURS):
        return "ours"
    for marker in _PACKAGES:
        at = name.rfind(marker)
        if at >= 0:
            return _kind_in_packages(name[at + len(marker) :].replace(os.sep, "/"))
    for prefix in (_STDLIB, _STDLIB_REAL):
        if name.startswith(prefix):
            inside = name[len(prefix) :].replace(os.sep, "/")
            if inside.startswith(_LOADER_STDLIB):
                return "loader"
            root = inside.split("/", 1)[0]
            root = root[:-3] if root.endswith(".py") else root
            return "build" if root == "distutils" else "plumbing" if root in _RUNNERS else "stdlib"
    return "user"


def _kind_in_packages(inside: str) -> str:
    if inside.startswith(_LOADER_PACKAGES):
        return "loader"
    root = inside.split("/", 1)[0]
    if root.endswith(".py"):
        root = root[:-3]
    if root in _BUILDERS:
        return "build"
    return "plumbing" if root in _PLUMBING else "user"


def kind_of(frame: FrameType) -> str:
    """As ``kind_of_file``, and ``ours`` also for code of dlrepair whose file name was replaced."""
    module = frame.f_globals.get("__name__")
    if type(module) is str and (module == "dlrepair" or module.startswith("dlrepair.")):
        return "ours"
    return kind_of_file(frame.f_code.co_filename)


def asking_frames(frame: FrameType | None) -> frozenset[int]:
    """Identities of the innermost frames where a package that runs other people's code loads for itself.

    Ray looks whether there is a GPU, with a handler of its own: there its handlers decide as anybody's do.
    """
    found: list[int] = []
    package = ""
    while frame is not None:
        kind = kind_of(frame)
        if kind not in ("ours", "loader"):
            directory = package_dir(frame.f_code.co_filename)
            if kind != "plumbing" or not directory or directory != (package or directory):
                break
            package = directory
            found.append(id(frame))
        frame = frame.f_back
    return frozenset(found)


def package_dir(path: str) -> str:
    """Outermost directory of the package that ``path`` belongs to, or ""."""
    found = ""
    directory = os.path.dirname(path)
    while directory and os.path.isfile(os.path.join(directory, "__init__.py")):
        found = directory
        parent = os.path.dirname(directory)
        if parent == directory:
            break
        directory = parent
    return found


def find_probe(frame: FrameType | None, library: str) -> str:
    """Why this load belongs to a build, where a failure is the measurement itself, as one clause, or ""."""
    program = sys.argv[0] if getattr(sys, "argv", None) and type(sys.argv[0]) is str else ""
    why = _building_program(program)
    if why:
        return why
    while frame is not None:
        if kind_of_file(frame.f_code.co_filename) == "build":
            module = frame.f_globals.get("__name__")
            return "called from the build tool {}, {}:{}".format(
                module if type(module) is str else "", frame.f_code.co_filename, frame.f_lineno
            )
        frame = frame.f_back
    return _scratch_build(library)


def _building_program(program: str) -> str:
    base = os.path.basename(program)
    if base in _BUILD_PROGRAMS:
        return "the program is {}".format(program)
    stem = base[:-3] if base.endswith(".py") else base
    if stem == "pip" or (stem.startswith("pip") and stem[3:].replace(".", "").isdigit()):
        return "the program is {}".format(base)
    parts = program.split(os.sep)
    if base == "__main__.py" and len(parts) > 1 and parts[-2] in ("pip", "build"):
        return "the program is {}".format(parts[-2])
    if "CMakeFiles" in parts:
        return "the program lies in CMakeFiles"
    return "cmake started the program" if _parent_name() == "cmake" else ""


_parents: dict[int, str] = {}


def _parent_name() -> str:
    parent = os.getppid()
    if parent not in _parents:
        _parents.clear()
        try:
            with open("/proc/{}/comm".format(parent), "rb") as stream:
                _parents[parent] = stream.read(64).strip().decode("ascii", "replace")
        except OSError:
            _parents[parent] = ""
    return _parents[parent]


def _scratch_build(library: str) -> str:
    """distutils' own ``build/temp.*``, or a directory of ``tempfile`` that this process made."""
    parts = library.split("/")
    for first, second in zip(parts, parts[1:]):
        if first == "build" and second.startswith("temp"):
            return "the library lies in build/{}".format(second)
    tempfile = sys.modules.get("tempfile")
    top = vars(tempfile).get("tempdir") if type(tempfile) is type(sys) else None
    if type(top) is not str or not library.startswith(top + "/"):
        return ""
    name = library[len(top) + 1 :].split("/", 1)[0]
    if name == library[len(top) + 1 :] or not (name.startswith("tmp") and len(name) == 11):
        return ""
    try:
        status = os.stat(os.path.join(top, name))
    except OSError:
        return ""
    from dlrepair.diagnose.source import process_start

    started = process_start()
    if started and min(status.st_atime, status.st_mtime, status.st_ctime) >= started and status.st_uid == os.geteuid():
        return "the library lies in a temporary directory of this process, {}".format(os.path.join(top, name))
    return ""


def namespace(frame: FrameType) -> Mapping[str, Any]:
    """The frame's local variables; empty where reading them would run foreign code."""
    found: Any = frame.f_locals
    # a class body may run in any mapping that its metaclass prepared
    return found if type(found) in (dict, _LOCALS) else {}


def release(frame: FrameType) -> None:
    """Forget the copy of a function's variables that ``f_locals`` leaves on its frame up to Python 3.12.

    It would keep objects alive, until the function returns, that the function itself has let go. A copy that
    somebody else refers to is left alone.
    """
    if _LOCALS is dict and frame.f_code.co_flags & 1:  # CO_OPTIMIZED: a function's body
        snapshot = frame.f_locals
        if sys.getrefcount(snapshot) <= 3:  # the frame's, this function's and the argument's
            snapshot.clear()


def _type_of_locals() -> type:
    return type(sys._getframe().f_locals)


_LOCALS = _type_of_locals()  # FrameLocalsProxy from 3.13 on (PEP 667)
