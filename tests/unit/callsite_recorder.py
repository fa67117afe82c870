"""A recorder in front of the real loaders: what ``classify`` and ``find_caller`` said of each failing load.

It stands where the hook stands: it calls the real function first, and asks in the ``except`` branch, with
the frame that called it. Must be installed before ctypes is imported. Runs on Python 3.7 to 3.13.
"""

import os
import sys
import types

# A stand-in for TensorFlow's loading layer: the same dlopen, TensorFlow's exception types.
_TF_FILES = {
    "__init__.py": (
        "from tensorflow.python.framework import errors_impl as errors\n"
        "from tensorflow.python.framework.load_library import load_op_library, load_library\n"
        "VERSION = '1.15'\n"
        "def RegisterGradient(name):\n"
        "    return lambda function: function\n"
    ),
    "python/__init__.py": "",
    "python/framework/__init__.py": "",
    "python/framework/errors.py": "from tensorflow.python.framework.errors_impl import *\n",
    "python/framework/errors_impl.py": (
        "class OpError(Exception): pass\nclass NotFoundError(OpError): pass\nclass AlreadyExistsError(OpError): pass\n"
    ),
    "python/framework/load_library.py": (
        "import _pywrap_tf_session as _pywrap\n"
        "def load_op_library(library_filename):\n"
        "    return _pywrap.TF_LoadLibrary(library_filename)\n"
        "def load_library(library_location):\n"
        "    return _pywrap.TF_LoadLibrary(library_location)\n"
    ),
}


def write_tensorflow(directory):
    packages = os.path.join(directory, "site-packages")
    for name, text in _TF_FILES.items():
        path = os.path.join(packages, "tensorflow", name)
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        with open(path, "w") as stream:
            stream.write(text)
    return packages


def install(checkout):
    """The list that every failing load of this process is appended to, one dict each."""
    sys.path.insert(0, checkout)
    import _ctypes
    import _imp

    from dlrepair.diagnose.callsite import classify, find_caller

    sys.path.remove(checkout)
    records = []
    real, real_create = _ctypes.dlopen, _imp.create_dynamic

    def record(frame, exc):
        before = sys.exc_info()[1]
        guard = classify(frame, exc)
        assert sys.exc_info()[1] is before
        caller = find_caller(frame)
        records.append({
            "kind": guard.kind, "reason": guard.reason, "file": guard.file, "line": guard.line,
            "alternative": guard.alternative,
            "caller": caller and [caller.file, caller.line, caller.function, caller.package_dir],
        })  # fmt: skip

    def dlopen(name, *arguments):
        try:
            return real(name, *arguments)
        except OSError as exc:
            record(sys._getframe(1), exc)
            raise

    def create_dynamic(spec, *arguments):
        try:
            return real_create(spec, *arguments)
        except ImportError as exc:
            record(sys._getframe(1), exc)
            raise

    def TF_LoadLibrary(path):
        from tensorflow.python.framework.errors_impl import NotFoundError

        try:
            return real(path, 2)
        except OSError as failed:
            error = NotFoundError(None, None, str(failed))
        try:
            raise error
        except NotFoundError as exc:
            record(sys._getframe(1), exc)
            raise

    _ctypes.dlopen = dlopen
    _imp.create_dynamic = create_dynamic
    pywrap = types.ModuleType("_pywrap_tf_session")
    pywrap.TF_LoadLibrary = TF_LoadLibrary
    sys.modules["_pywrap_tf_session"] = pywrap
    return records
