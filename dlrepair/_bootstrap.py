"""Stage 0: runs at every interpreter start, so it does almost nothing.

It wraps ``_imp.create_dynamic`` and, when an extension module that can open
libraries is created, that module's native entry. A wrapper calls the original
first; ``dlrepair.hooks`` is imported only after a load has failed. Only ``sys``
and ``os`` are used, which a bare interpreter has loaded already.

The installer may carry this file inline in ``sitecustomize.py``; nothing here may
therefore depend on the name of the module that it runs in.
"""

import os
import sys

# `from __future__ import annotations` would import a module: annotations are strings here
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)

#: extension module -> (loader, native entries that open a library whose name is their first argument)
_NATIVE = {
    "_ctypes": ("ctypes", ("dlopen",)),
    "_cffi_backend": ("cffi", ("load_library",)),
    "tensorflow.python.client._pywrap_tf_session": (
        "tensorflow",
        ("TF_LoadLibrary", "TF_LoadPluggableDeviceLibrary", "TF_RegisterFilesystemPlugin"),
    ),
    "_pywrap_tensorflow_internal": ("tensorflow", ("TF_LoadLibrary",)),
    "tensorflow.python._pywrap_tensorflow_internal": ("tensorflow", ("TF_LoadLibrary",)),
}

#: Python module -> (loader, function) that gives up before any native entry is called
_SEARCHERS = {
    "ctypes.util": ("find_library", "find_library"),
    "numpy.ctypeslib": ("numpy", "load_library"),
    "numpy.ctypeslib._ctypeslib": ("numpy", "load_library"),
    "tensorflow.python.framework.load_library": ("tensorflow-path", "load_library"),
}


class Stage0(object):
    """What stage 0 knows: handed to the hooks, which keep all further state themselves."""

    __slots__ = ("checked", "cwd", "home", "hooks", "natives", "opened", "originals", "pid", "threads")

    def __init__(self, home: "str") -> "None":
        self.home = home  #: directory that holds the dlrepair package
        self.hooks: "Any" = None
        self.natives = _NATIVE  #: loaders can be added: ``dlrepair.loaders.register``
        self.checked: "set[Any]" = set()  #: absolute paths and leaf names that loaded, hence need no check again
        self.opened: "list[Any]" = []  #: names that TensorFlow loaded, in order
        self.originals: "dict[tuple[str, str], Any]" = {}  #: (module name, entry) -> the native function
        self.threads: "set[int] | None" = None  #: threads that are inside a repair, once there was one
        self.pid = os.getpid()
        try:
            self.cwd = os.getcwd()
        except OSError:
            self.cwd = ""


def _unsafe(name: "Any") -> "str | None":
    """Why the real loader must not be handed this path, or None.

    ld.so opens a fifo and waits for ever, and dies of SIGBUS when a PT_LOAD page lies
    wholly beyond the end of the file (mmap(2)); it reports everything else by itself.
    """
    if name.__class__ is not str:
        if name is None or name.__class__ is int:
            return None
        name = os.fsdecode(name)
    if "/" not in name:
        return None
    try:
        info = os.stat(name)
        kind = info.st_mode & 0o170000
        if kind != 0o100000:
            return "fifo" if kind == 0o010000 else None
        size = info.st_size
        descriptor = os.open(name, _READ)
    except (OSError, ValueError):
        return None
    try:
        head = os.pread(descriptor, 1024, 0)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    # only what ld.so would map: ELF, 64-bit, little-endian, program headers right behind the header
    if head[:6] != b"\x7fELF\x02\x01" or len(head) < 64 or head[32] != 64 or head[54] != 56:
        return None
    words = memoryview(head[: len(head) & ~7]).cast("Q")
    last = min(8 + 7 * head[56], len(words) - 6)
    end = 0
    for at in range(8, last, 7):
        if words[at] & 0xFFFFFFFF == 1:
            length = words[at + 4]
            if length and words[at + 1] + length > end:
                end = words[at + 1] + length
    return _beyond(end, size, head) if end > size else None


def _beyond(end: "int", size: "int", head: "bytes") -> "str | None":
    """``truncated`` if the page before ``end`` lies wholly beyond ``size`` in a file for this machine."""
    page = os.sysconf("SC_PAGE_SIZE")
    if (end - 1) // page * page < size:
        return None
    try:
        with open("/proc/self/exe", "rb") as own:
            machine = own.read(20)[18:20]
    except OSError:
        return None
    return "truncated" if machine == head[18:20] else None


def _failed(
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

    if state.threads is None:
        state.threads = set()
        os.register_at_fork(after_in_child=lambda: _release_imports(state))
    me = _thread.get_ident()
    outer = me in state.threads
    state.threads.add(me)
    try:
        if state.hooks is None:
            try:
                state.hooks = _import_hooks(state.home)
            except Exception:
                return None
        return state.hooks.on_failure(state, loader, native, args, kwargs, error, refused)
    finally:
        if not outer:
            state.threads.discard(me)


def _release_imports(state: "Stage0") -> "None":
    """Ends, in a forked child, the imports that repairing threads of the parent were in the middle of.

    A module lock would stay locked for ever, and its module half made (Lib/importlib/_bootstrap.py,
    _ModuleLock). Only locks of threads that were inside our own repair are touched.
    """
    try:
        import _thread

        gone = state.threads - {_thread.get_ident()}  # type: ignore[operator]
        state.threads -= gone  # type: ignore[operator]
        locks = sys.modules["_frozen_importlib"]._module_locks if gone else {}
        for name, reference in list(locks.items()):
            owner: "Any" = getattr(reference(), "owner", None)
            if (owner[0] if owner.__class__ is tuple else owner) in gone:
                locks.pop(name, None)
                module = sys.modules.get(name)
                if getattr(getattr(module, "__spec__", None), "_initializing", False):
                    sys.modules.pop(name, None)
    except Exception:  # another interpreter's internals: the child may wait for a half-made module
        return


def _import_hooks(home: "str") -> "Any":
    """The hooks package, found beside this installation whatever ``sys.path`` has become."""
    if "dlrepair" not in sys.modules:
        spec = sys.modules["_frozen_importlib_external"].PathFinder.find_spec("dlrepair", [home])
        if spec is None:
            raise ImportError("dlrepair is gone")
        sys.modules["_frozen_importlib"]._load(spec)
    import dlrepair.hooks

    return dlrepair.hooks


def _wrap_native(state: "Stage0", loader: "str", native: "Any") -> "Any":
    """A function that calls ``native`` and repairs its failure; costs a set look-up on success."""
    checked = state.checked
    opened = state.opened if loader == "tensorflow" else None

    def dlopen(*args: "Any", **kwargs: "Any") -> "Any":
        refused = None
        try:
            name = args[0]
            if name not in checked:
                refused = _unsafe(name)
                if refused is None and name.__class__ is str and (name[:1] == "/" or "/" not in name):
                    checked.add(name)
        except Exception:  # an odd argument: the original says so best
            name = None
        if refused is None:
            try:
                result = native(*args, **kwargs)
            except Exception as error:
                checked.discard(name)
                answer = _failed(state, loader, native, args, kwargs, error)
                if answer is None:
                    raise
                return answer[0]
            if opened is not None:
                opened.append(name)
            return result
        answer = _failed(state, loader, native, args, kwargs, None, refused)
        return native(*args, **kwargs) if answer is None else answer[0]

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
            answer = _failed(state, loader, function, args, kwargs, caught)
            if answer is None:
                raise
            return answer[0]
        answer = _failed(state, loader, function, args, kwargs, error)
        return None if answer is None else answer[0]

    search.__dict__.update(function.__dict__)
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(search, name, getattr(function, name))
    search.__dict__.update(__wrapped__=function, __dlrepair__=function)
    return search


def _arm_module(state: "Stage0", module: "Any") -> "None":
    """Wraps the entries of a module that has just been created or executed."""
    try:
        name = module.__name__
        loader, entries = _NATIVE[name]
        for entry in entries:
            native = getattr(module, entry, None)
            if native is not None and not hasattr(native, "__dlrepair__"):
                setattr(module, entry, _wrap_native(state, loader, native))
                state.originals[name, entry] = native
        if name == "_ctypes":
            _arm_searchers(state)
    except Exception:  # an odd module is left as it is
        pass


def _arm_searchers(state: "Stage0") -> "None":
    """Watches for the few Python modules that search for libraries themselves."""
    if any(hasattr(finder, "__dlrepair__") for finder in sys.meta_path):
        return
    for name in _SEARCHERS:
        if name in sys.modules:
            _arm_searcher(state, sys.modules[name])

    class Watch(object):
        __dlrepair__ = True

        @staticmethod
        def find_spec(name: "str", path: "Any" = None, target: "Any" = None) -> "Any":
            if name not in _SEARCHERS:
                return None
            for finder in sys.meta_path:
                find = None if finder is Watch else getattr(finder, "find_spec", None)
                spec = None if find is None else find(name, path, target)
                if spec is not None:
                    _after_exec(state, spec.loader)
                    return spec
            return None

    sys.meta_path.insert(0, Watch)


def _after_exec(state: "Stage0", loader: "Any") -> "None":
    """Wraps the module's function once its code has run, and leaves the loader as it was."""
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
        loader, entry = _SEARCHERS[module.__name__]
        function = getattr(module, entry)
        if not hasattr(function, "__dlrepair__"):
            setattr(module, entry, _wrap_searcher(state, loader, function))
    except Exception:
        pass


def _hide(function: "Any") -> "Any":
    """Names the frame as importlib's own, so that import tracebacks look as ever (3.8+ by replace)."""
    filename = "<frozen importlib._bootstrap_external>"
    code = function.__code__
    if hasattr(code, "replace"):
        function.__code__ = code.replace(co_filename=filename)
    else:
        function.__code__ = type(code)(
            code.co_argcount, code.co_kwonlyargcount, code.co_nlocals, code.co_stacksize, code.co_flags,
            code.co_code, code.co_consts, code.co_names, code.co_varnames, filename, code.co_name,
            code.co_firstlineno, code.co_lnotab, code.co_freevars, code.co_cellvars,
        )  # fmt: skip
    return function


def _wrap_imports(state: "Stage0", imp: "Any") -> "None":
    """Wraps the entries that importlib looks up at every extension import."""
    create, execute, checked = imp.create_dynamic, imp.exec_dynamic, state.checked

    def create_dynamic(*args: "Any") -> "Any":
        refused = None
        try:
            path = args[0].origin
            if path not in checked:
                refused = _unsafe(path)
                if refused is None:
                    checked.add(path)
        except Exception:
            path = None
        if refused is None:
            try:
                module = create(*args)
            except ImportError as error:
                checked.discard(path)
                answer = _failed(state, "import", create, args, {}, error)
                if answer is None:
                    raise
                module = answer[0]
        else:
            answer = _failed(state, "import", create, args, {}, None, refused)
            module = create(*args) if answer is None else answer[0]
        if args[0].name in _NATIVE:
            _arm_module(state, module)
        return module

    def exec_dynamic(*args: "Any") -> "Any":
        result = execute(*args)
        if getattr(args[0], "__name__", None) in _NATIVE:
            _arm_module(state, args[0])
        return result

    state.originals["_imp", "create_dynamic"] = create
    state.originals["_imp", "exec_dynamic"] = execute
    create_dynamic.__dlrepair__ = state  # type: ignore[attr-defined]
    exec_dynamic.__dlrepair__ = state  # type: ignore[attr-defined]
    imp.create_dynamic = _hide(create_dynamic)
    imp.exec_dynamic = _hide(exec_dynamic)
    if "_ctypes" in sys.builtin_module_names:  # python-build-standalone
        _wrap_builtins(state, imp)


def _wrap_builtins(state: "Stage0", imp: "Any") -> "None":
    create, execute = imp.create_builtin, imp.exec_builtin

    def create_builtin(*args: "Any") -> "Any":
        module = create(*args)
        if args[0].name in _NATIVE:
            _arm_module(state, module)
        return module

    def exec_builtin(*args: "Any") -> "Any":
        result = execute(*args)
        if getattr(args[0], "__name__", None) in _NATIVE:
            _arm_module(state, args[0])
        return result

    state.originals["_imp", "create_builtin"] = create
    state.originals["_imp", "exec_builtin"] = execute
    imp.create_builtin = _hide(create_builtin)
    imp.exec_builtin = _hide(exec_builtin)


def arm(home: "str") -> "Stage0 | None":
    """The armed state, or None where the hook stays out. Never raises.

    Stays out when switched off, on Windows, in a set-user-ID process, when armed
    already, and when the package in ``home`` is gone.
    """
    try:
        environ = os.environ
        if (
            environ.get("DLREPAIR", "").lower() in ("off", "0", "no", "false")
            or environ.get("DLREPAIR_MODE", "").lower() == "off"
            or os.name != "posix"
            or os.getuid() != os.geteuid()
            or os.getgid() != os.getegid()
        ):
            return None
        os.stat(home + "/dlrepair/hooks/__init__.py")
        import _imp

        if hasattr(_imp.create_dynamic, "__dlrepair__"):
            return None
        state = Stage0(home)
        _wrap_imports(state, _imp)
        for name in _NATIVE:
            if name in sys.modules:
                _arm_module(state, sys.modules[name])
        return state
    except Exception:
        return None


def disarm(state: "Stage0") -> "None":
    """Puts the original entries back. Names that Python code copied meanwhile stay wrapped."""
    for (name, entry), native in state.originals.items():
        module = sys.modules.get(name)
        if module is not None:
            setattr(module, entry, native)
    sys.meta_path[:] = [finder for finder in sys.meta_path if not hasattr(finder, "__dlrepair__")]
