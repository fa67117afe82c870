"""What stage 0 needs once a process opens libraries: imported when ``_ctypes`` or its like appears.

``_bootstrap`` alone runs at start-up. This module wraps native entries, watches the few Python
modules that search for libraries themselves, and hands failures to ``dlrepair.hooks``,
which is imported only then. Only ``sys`` and ``os`` are used.
"""

import os
import sys

# `from __future__ import annotations` would import a module: annotations are strings here
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair._bootstrap import Stage0

#: extension module -> (loader, native entries that open a library whose name is their first argument)
_NATIVE = {
    "_ctypes": ("ctypes", ("dlopen",)),
    "_cffi_backend": ("cffi", ("load_library",)),
    "tensorflow.python.client._pywrap_tf_session": (
        "tensorflow",
        ("TF_LoadLibrary", "TF_LoadPluggableDeviceLibrary", "TF_RegisterFilesystemPlugin"),
    ),
    "tensorflow.python._pywrap_tf_session": ("tensorflow", ("TF_LoadLibrary",)),  # 2.2 to 2.4
    "_pywrap_tensorflow_internal": ("tensorflow", ("TF_LoadLibrary",)),
    "tensorflow.python._pywrap_tensorflow_internal": ("tensorflow", ("TF_LoadLibrary",)),
}

#: (Python module, name that it copied when it was imported, native module, what the name is a copy of)
_COPIES = (
    ("ctypes", "_dlopen", "_ctypes", "dlopen"),
    (
        "tensorflow.python.client.pywrap_tf_session",
        "TF_LoadLibrary",
        "tensorflow.python.client._pywrap_tf_session",
        "TF_LoadLibrary",
    ),
    (
        "tensorflow.python.client.pywrap_tf_session",
        "TF_LoadLibrary",
        "tensorflow.python._pywrap_tf_session",
        "TF_LoadLibrary",
    ),
)

#: Python module -> (loader, function) that gives up before any native entry is called
_SEARCHERS = {
    "ctypes.util": ("find_library", "find_library"),
    "numpy.ctypeslib": ("numpy", "load_library"),
    "numpy.ctypeslib._ctypeslib": ("numpy", "load_library"),
    "tensorflow.python.framework.load_library": ("tensorflow-path", "load_library"),
}

#: modules in which an exception that nobody catches may end: ``_endings`` follows it
_FOLLOWED = ("threading", "multiprocessing.util", "IPython.core.events")

#: what every TensorFlow imports after ctypes and before its native code; its directory holds ``build_info.py`` too
_CHECKS = ("tensorflow.python.platform.self_check", "tensorflow_core.python.platform.self_check")


def _prepare(state: "Stage0") -> "None":
    """What the hooks expect of the state, beyond what stage 0 could afford to make."""
    if not hasattr(state, "natives"):
        state.threads = None  # threads that are inside a repair, once there was one
        state.opened = []  # names that TensorFlow loaded, in order
        state.originals = {("_imp", "create_dynamic"): state.create}  # (module name, entry) -> the native function
        state.natives = _NATIVE  # loaders can be added: ``dlrepair.loaders.register``
        state.reported = []  # ids of exceptions that the hooks have dealt with
        import atexit

        atexit.register(_look_back, state, os.getpid())


def _look_back(state: "Stage0", pid: "int") -> "None":
    """At exit: an exception that nobody caught may be about a library that was never asked for."""
    if getattr(sys, "last_value", None) is not None:
        endings = _endings()
        if endings is not None:
            endings.at_exit(state, pid)


def _endings() -> "Any":
    """The module that follows uncaught exceptions, or None."""
    try:
        import dlrepair._endings  # noqa: F401

        return sys.modules["dlrepair._endings"]
    except Exception:  # the package has gone since
        return None


def _is_beyond(path: "Any", sizes: "str") -> "bool":
    """Whether a page of the file's segments lies wholly beyond its end, in a file for this machine.

    ``sizes`` is ``"SIZE END"``. A last page that is partly there is filled with zeros (mmap(2)), and may do.
    """
    size, end = map(int, sizes.split())
    page = os.sysconf("SC_PAGE_SIZE")
    if (end - 1) // page * page < size:
        return False
    try:
        with open("/proc/self/exe", "rb") as own, open(path, "rb") as file:
            return own.read(20)[18:20] == file.read(20)[18:20]
    except OSError:
        return False


def failed(
    state: "Stage0",
    loader: "str",
    native: "Any",
    args: "Any",
    kwargs: "Any",
    error: "Any",
    refused: "str | None" = None,
) -> "Any":
    """``(result,)`` of a repaired load, or None: then the caller raises what it would have raised.

    With ``refused`` the original was not called; the hooks raise the error for it.
    """
    import _thread

    _prepare(state)
    if state.threads is None:
        state.threads = set()
        os.register_at_fork(after_in_child=lambda: _release_imports(state))
    me = _thread.get_ident()
    outer = me in state.threads
    state.threads.add(me)
    try:
        try:
            import dlrepair.hooks  # noqa: F401

            hooks = sys.modules["dlrepair.hooks"]  # not by attribute, see _bootstrap._rest
        except Exception:  # the package has gone since
            return None
        return hooks.on_failure(state, loader, native, args, kwargs, error, refused)
    finally:
        if not outer:
            state.threads.discard(me)


def refused(state: "Stage0", loader: "str", native: "Any", args: "Any", kwargs: "Any", why: "str") -> "Any":
    """The result of a load whose path must perhaps not be handed to the real loader.

    Repaired if it can be; else the hooks raise the report, or the loader is called as without us.
    """
    path = args[0].origin if loader == "import" else args[0]
    if why == "fifo" or _is_beyond(path, why):
        answer = failed(state, loader, native, args, kwargs, None, "fifo" if why == "fifo" else "truncated")
        return native(*args, **kwargs) if answer is None else answer[0]
    try:
        return native(*args, **kwargs)
    except Exception as error:
        answer = failed(state, loader, native, args, kwargs, error)
        if answer is None:
            raise
        return answer[0]


def _release_imports(state: "Stage0") -> "None":
    """Ends, in a forked child, the imports that repairing threads of the parent were in the middle of.

    A module lock would stay locked for ever, and its module half made (Lib/importlib/_bootstrap.py,
    _ModuleLock). Only locks of threads that were inside our own repair are touched.
    """
    try:
        import _thread

        gone = state.threads - {_thread.get_ident()}
        state.threads -= gone
        locks = sys.modules["_frozen_importlib"]._module_locks if gone else {}
        for name, reference in list(locks.items()):
            owner: Any = getattr(reference(), "owner", None)
            if (owner[0] if isinstance(owner, tuple) else owner) in gone:
                locks.pop(name, None)
                module = sys.modules.get(name)
                if getattr(getattr(module, "__spec__", None), "_initializing", False):
                    sys.modules.pop(name, None)
    except Exception:  # another interpreter's internals: the child may wait for a half-made module
        return


def _wrap_native(state: "Stage0", loader: "str", native: "Any") -> "Any":
    """A function that calls ``native`` and repairs its failure; costs a set look-up on success."""
    checked, unsafe = state.checked, state.unsafe
    opened = state.opened if loader == "tensorflow" else None

    def dlopen(*args: "Any", **kwargs: "Any") -> "Any":
        name = why = None
        try:
            name = args[0]
            if name not in checked:
                why = unsafe(name)
                if why is None and name.__class__ is str and (name[:1] == "/" or "/" not in name):
                    checked.add(name)
        except Exception:  # an odd argument: the original says so best
            name = None
        if why is not None:
            return refused(state, loader, native, args, kwargs, why)
        try:
            result = native(*args, **kwargs)
        except Exception as error:
            checked.discard(name)
            answer = failed(state, loader, native, args, kwargs, error)
            if answer is None:
                raise
            return answer[0]
        if opened is not None:
            opened.append(name)
        return result

    dlopen.__dlrepair__ = native  # type: ignore[attr-defined]
    return dlopen


def _wrap_searcher(state: "Stage0", loader: "str", function: "Any") -> "Any":
    """A function that calls ``function`` and asks the hooks when it found nothing."""

    def search(*args: "Any", **kwargs: "Any") -> "Any":
        error = None
        try:
            result = function(*args, **kwargs)
            if result is not None or loader != "find_library":
                return result
        except OSError as caught:
            answer = failed(state, loader, function, args, kwargs, caught)
            if answer is None:
                raise
            return answer[0]
        answer = failed(state, loader, function, args, kwargs, error)
        return None if answer is None else answer[0]

    search.__dict__.update(function.__dict__)
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(search, name, getattr(function, name))
    search.__dict__.update(__wrapped__=function, __dlrepair__=function)
    return search


def _watched(state: "Stage0", loader: "str", native: "Any", wrapped: "Any") -> "Any":
    """``wrapped``; in a command that ``dlrepair watch`` runs, asked for the watched build first."""
    if "DLREPAIR__WATCHED" in os.environ:
        try:
            import dlrepair.hooks.watched  # noqa: F401

            return sys.modules["dlrepair.hooks.watched"].wrap(state, loader, native, wrapped)
        except Exception:  # the package has gone since
            pass
    return wrapped


def created(state: "Stage0", module: "Any") -> "None":
    """Wraps the entries of a module that has just been made; of a multi-phase one (PEP 489) once it has run."""
    _prepare(state)
    if not arm_module(state, module):
        _wrap_execution(state, "exec_dynamic")


def catch_up(state: "Stage0") -> "None":
    """Wraps what was made before stage 0 ran, or is not made by ``create_dynamic`` at all."""
    _prepare(state)
    for name in tuple(state.names):
        if name in sys.modules:
            arm_module(state, sys.modules[name])
    for name, entry, source, native in _COPIES:
        module, wrapped = sys.modules.get(name), getattr(sys.modules.get(source), native, None)
        if module is not None and getattr(module, entry, None) is getattr(wrapped, "__dlrepair__", module):
            setattr(module, entry, wrapped)
    if "_ctypes" in sys.builtin_module_names and "_ctypes" not in sys.modules:  # python-build-standalone
        _wrap_execution(state, "create_builtin")
        _wrap_execution(state, "exec_builtin")


def arm_module(state: "Stage0", module: "Any") -> "bool":
    """Wraps the entries of a module; False if it has none of them yet."""
    try:
        name = module.__name__
        loader, entries = state.natives[name]
        found = False
        for entry in entries:
            native = getattr(module, entry, None)
            found = found or native is not None
            if native is not None and not hasattr(native, "__dlrepair__"):
                state.originals[name, entry] = native
                setattr(module, entry, _watched(state, loader, native, _wrap_native(state, loader, native)))
        if name == "_ctypes" and found:
            _arm_searchers(state)
        return found
    except Exception:  # an odd module is left as it is
        return True


def _wrap_execution(state: "Stage0", entry: "str") -> "None":
    """Looks at a module after ``_imp.exec_dynamic`` or ``_imp.create_builtin`` and its like."""
    import _imp

    native = getattr(_imp, entry)
    if ("_imp", entry) in state.originals:
        return

    def after(*args: "Any") -> "Any":
        result = native(*args)
        module = result if entry == "create_builtin" else args[0]
        if getattr(module, "__name__", None) in state.names:
            arm_module(state, module)
        return result

    filename = "<frozen importlib._bootstrap_external>"  # import tracebacks leave the frame out, as in stage 0
    if hasattr(after.__code__, "replace"):
        after.__code__ = after.__code__.replace(co_filename=filename)
    state.originals["_imp", entry] = native
    setattr(_imp, entry, after)


def _arm_searchers(state: "Stage0") -> "None":
    """Watches for the few Python modules that search for libraries themselves, or where exceptions end."""
    if any(hasattr(finder, "__dlrepair__") for finder in sys.meta_path):
        return
    for name in (*_SEARCHERS, *_FOLLOWED):
        if name in sys.modules:
            _arm_searcher(state, sys.modules[name])

    class Watch:
        __dlrepair__ = True

        @staticmethod
        def find_spec(name: "str", path: "Any" = None, target: "Any" = None) -> "Any":
            if name not in _SEARCHERS and name not in _FOLLOWED:
                if name in _CHECKS:
                    _see_gpu(state, path)
                return None
            for finder in sys.meta_path:
                find = None if finder is Watch else getattr(finder, "find_spec", None)
                spec = None if find is None else find(name, path, target)
                if spec is not None:
                    _after_exec(state, spec.loader)
                    return spec
            return None

    sys.meta_path.insert(0, Watch)


def _see_gpu(state: "Stage0", path: "Any") -> "None":
    """Where there is an NVIDIA device, lets the hooks see to what TensorFlow's own loader will look for."""
    try:
        for name in os.listdir("/dev"):
            if name == "dxg" or name == "nvidiactl" or (name[:6] == "nvidia" and name[6:7].isdigit()):
                break
        else:
            return
        package = os.path.dirname(os.path.dirname(os.path.abspath(next(iter(path)))))
        import dlrepair.hooks.gpu  # noqa: F401

        sys.modules["dlrepair.hooks.gpu"].prepare(state, package)
    except Exception:  # the package has gone since, or /dev cannot be read
        return


def _after_exec(state: "Stage0", loader: "Any") -> "None":
    """Sees to the module once its code has run, and leaves the loader as it was."""
    try:
        execute = loader.exec_module

        def exec_module(module: "Any") -> "None":
            del loader.exec_module
            execute(module)
            _arm_searcher(state, module)

        loader.exec_module = exec_module
    except Exception:  # a loader of another kind: this search is not covered
        pass


def _arm_searcher(state: "Stage0", module: "Any") -> "None":
    try:
        if module.__name__ in _FOLLOWED:
            endings = _endings()
            if endings is not None:
                endings.follow(state, module)
            return
        loader, entry = _SEARCHERS[module.__name__]
        function = getattr(module, entry)
        if not hasattr(function, "__dlrepair__"):
            setattr(module, entry, _wrap_searcher(state, loader, function))
    except Exception:
        pass


def disarm(state: "Stage0") -> "None":
    """Puts the original entries back. Names that Python code copied meanwhile stay wrapped."""
    for (name, entry), native in state.originals.items():
        module = sys.modules.get(name)
        if module is not None:
            setattr(module, entry, native)
    sys.meta_path[:] = [finder for finder in sys.meta_path if not hasattr(finder, "__dlrepair__")]
