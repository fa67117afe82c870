"""Stage 0: runs at every interpreter start, so it does almost nothing.

It wraps ``_imp.create_dynamic``, through which every extension module comes, calls the original
first, and imports the rest (``dlrepair._entries``) when an extension module appears that
opens libraries, or when a load has failed. Only ``sys`` and ``os`` are used, which a bare
interpreter has loaded already; each line here is paid for by every process.

The installer may carry this file inline in ``sitecustomize.py``; nothing here may
therefore depend on the name of the module that it runs in.
"""

import os
import sys

# `from __future__ import annotations` would import a module: annotations are strings here
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    #: what stage 0 knows; the hooks keep all further state themselves
    Stage0 = Any


def _unsafe(name: "Any") -> "str | None":
    """Why the real loader must perhaps not be handed this path, or None.

    ld.so opens a fifo and waits for ever, and dies of SIGBUS when a PT_LOAD page lies wholly beyond
    the end of the file (mmap(2)); it reports everything else by itself. ``fifo``, or the size of the file
    and the end of its segments for ``_entries`` to judge.
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
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
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
    end = 0
    for at in range(8, min(8 + 7 * head[56], len(words) - 6), 7):
        if words[at] & 0xFFFFFFFF == 1:
            length = words[at + 4]
            if length and words[at + 1] + length > end:
                end = words[at + 1] + length
    return "{} {}".format(info.st_size, end) if end > info.st_size else None


def _rest(state: "Stage0", name: "str" = "dlrepair._entries") -> "Any":
    """A module of ours from where it was installed, whatever ``sys.path`` has become; None when it is gone."""
    try:
        if "dlrepair" not in sys.modules:
            find = sys.modules["_frozen_importlib_external"].PathFinder.find_spec
            sys.modules["_frozen_importlib"]._load(find("dlrepair", [state.home]))
        __import__(name)
        # not by attribute: the importing thread sets that last, after another may have seen the module as ready
        return sys.modules[name]
    except Exception:
        return None


def _note(state: "Stage0") -> "None":
    """Remembers what a second start would have to put back: 16 microseconds."""
    import _signal

    state.pid = os.getpid()
    try:
        state.offset = os.lseek(0, 0, 1)
    except OSError:
        state.offset = None
    ask = _signal.getsignal
    state.mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
    state.ignored = [number for number in range(1, _signal.NSIG) if ask(number) == 1]  # SIG_IGN
    state.io = b""  # proc(5): what this process has written before, in a former life
    try:
        descriptor = os.open("/proc/self/io", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        state.io = os.read(descriptor, 256)
    finally:
        os.close(descriptor)


def _learned(state: "Stage0", environ: "Any") -> "None":
    """Asks ``dlrepair.learned`` where this start came from it, or may be one that it has a record for."""
    if "DLREPAIR__START" in environ:
        rest = _rest(state, "dlrepair.learned")
        if rest is not None:
            rest.restore(state)
        return
    base = environ.get("XDG_STATE_HOME", "")
    if base[:1] != "/":
        base = os.path.expanduser("~") + "/.local/state"  # ``site`` has asked for the same
    base += "/dlrepair/learned"
    try:
        os.stat(base)
        argv = getattr(sys, "argv", ("-c",))  # 3.7 has none yet
        words = getattr(sys, "orig_argv", argv)
        name = argv[0]
        parts = [word for word in words if "multiprocessing" in word[:80] or "loky" in word[:80]]
        if not parts and not (words is argv and name in ("-c", "-m")):
            os.stat(base + "/=" + ("" if name == "-" else name.rpartition("/")[2]))
    except OSError:
        return
    rest = _rest(state, "dlrepair.learned")
    if rest is not None:
        rest.apply(state)


def _wrap(state: "Stage0", create: "Any") -> "Any":
    """What takes the place of ``_imp.create_dynamic``."""
    checked, names = state.checked, state.names

    def create_dynamic(*args: "Any") -> "Any":
        path = why = rest = None
        try:
            path = args[0].origin
            if path not in checked:
                why = _unsafe(path)
                if why is None:
                    checked.add(path)
        except Exception:
            pass
        if why is not None:
            rest = _rest(state)
        if rest is not None:
            module = rest.refused(state, "import", create, args, {}, why)
        else:
            try:
                module = create(*args)
            except ImportError as error:
                checked.discard(path)
                rest = _rest(state)
                answer = None if rest is None else rest.failed(state, "import", create, args, {}, error)
                if answer is None:
                    raise
                module = answer[0]
        if args[0].name in names:
            rest = _rest(state)
            if rest is not None:
                rest.created(state, module)
        return module

    create_dynamic.__dlrepair__ = state  # type: ignore[attr-defined]
    # importlib's own file name: import tracebacks then leave the frame out, as ever
    filename = "<frozen importlib._bootstrap_external>"
    code = create_dynamic.__code__
    if sys.version_info >= (3, 8):
        create_dynamic.__code__ = code.replace(co_filename=filename)
    else:
        create_dynamic.__code__ = type(code)(
            code.co_argcount, code.co_kwonlyargcount, code.co_nlocals, code.co_stacksize, code.co_flags,
            code.co_code, code.co_consts, code.co_names, code.co_varnames, filename, code.co_name,
            code.co_firstlineno, code.co_lnotab, code.co_freevars, code.co_cellvars,
        )  # fmt: skip
    return create_dynamic


def arm(home: "str") -> "Stage0 | None":
    """The armed state, or None where the hook stays out. Never raises.

    Stays out when switched off, on Windows, in a set-user-ID process, when armed
    already, and when the package in ``home`` is gone.
    """
    try:
        environ = os.environ
        if "DLREPAIR" in environ and environ["DLREPAIR"].lower() in ("off", "0", "no", "false"):
            return None
        if "DLREPAIR" not in environ and environ.get("DLREPAIR_MODE", "").lower() == "off":
            return None
        if os.name != "posix" or os.getuid() != os.geteuid() or os.getgid() != os.getegid():
            return None
        os.stat(home + "/dlrepair/_entries.py")
        import _imp

        if hasattr(_imp.create_dynamic, "__dlrepair__"):
            return None
        kind: "Any" = type(sys.implementation)  # types.SimpleNamespace, without an import
        state = kind(
            home=home,  # directory that holds the dlrepair package
            cwd="",
            checked=set(),  # paths and leaf names that loaded, hence need no check again
            names={  # extension modules that open libraries: ``_entries`` says which entries
                "_ctypes", "_cffi_backend", "tensorflow.python.client._pywrap_tf_session",
                "tensorflow.python._pywrap_tf_session",
                "_pywrap_tensorflow_internal", "tensorflow.python._pywrap_tensorflow_internal",
            },
            create=_imp.create_dynamic,
            unsafe=_unsafe,
            started=[],
        )  # fmt: skip
        try:
            state.cwd = os.getcwd()
        except OSError:  # removed under the process
            pass
        _note(state)
        _learned(state, environ)
        _imp.create_dynamic = _wrap(state, _imp.create_dynamic)
        # made already, or not made by create_dynamic at all (python-build-standalone)
        if "_ctypes" in sys.modules or "_ctypes" in sys.builtin_module_names:
            rest = _rest(state)
            if rest is not None:
                rest.catch_up(state)
        return state
    except Exception:
        return None
