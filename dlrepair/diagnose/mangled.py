"""What a symbol's name tells by itself: who could define it, and whether it was cut in a paste.

Source of the rules: Itanium C++ ABI, chapter 5.1 (name mangling); GCC's dual ABI (inline namespace
``__cxx11`` and ABI tag ``B5cxx11``); abseil's inline namespaces (``lts_20230802``).
"""

from __future__ import annotations

#: Old (pre-C++11 ABI) std::string and its reference, as they end or continue a parameter list.
_OLD_STRING = ("ESs", "RKSs", "PSs", "PKSs", "vSs", "iSs", "bSs", "RSs", "SsRK", "OSs", "ISs", "KcSs")

#: Functions of TensorFlow that return std::string: without an ABI tag they are of the old ABI.
_RETURNS_STRING = ("9NewStringEv", "11TraceStringE", "24TfCheckOpHelperOutOfLineE", "6ToStringEv", "11DebugStringEv")

#: Names whose signature or existence changed between TensorFlow releases.
_TF_RELEASE = (
    "4absl", "3tsl", "3xla", "6Status12empty_string", "14kernel_factory", "2lts", "perftools8gputools",
    "8StatusOr", "10StatusCode", "TraceString", "DatasetBase", "5error4Code",
)  # fmt: skip

_FRAMEWORKS = ("10tensorflow", "2at", "3c10", "5torch", "6caffe2", "5mxnet", "6paddle", "5arrow", "4tvm")


def plain(symbol: str) -> str:
    """The ELF spelling of a symbol: Mach-O puts one underscore before every name."""
    return symbol[1:] if symbol.startswith(("__Z", "__Py", "_Py", "_TF_")) else symbol


#: Operator names with an upper-case letter (ABI 5.1.3.2).
_OPERATORS = ("pL", "mI", "mL", "dV", "rM", "aN", "aS", "eO", "oR", "lS", "rS")


#: ``str.isdigit`` takes superscripts for digits, ``int`` does not.
_DIGITS = "0123456789"


def _rest(symbol: str) -> tuple[bool, int]:
    """(an identifier is shorter than its length prefix, names and argument lists that are still open).

    A scan of the grammar's brackets: ``N``, ``I``, ``F``, ``X``, ``J``, ``Z`` and literals open, ``E`` closes;
    identifiers and substitutions are stepped over.
    """
    at = symbol.find("_Z")
    size = len(symbol)
    if at < 0:
        return False, 0
    at += 2
    depth = 0
    while at < size:
        char = symbol[at]
        following = symbol[at + 1 : at + 2]
        if char in _DIGITS:
            end = at
            while end < size and symbol[end] in _DIGITS:
                end += 1
            at = end + int(symbol[at:end][:6])
            if at > size:
                return True, depth
            continue
        if char in "ST" and (following == "_" or following.isdigit() or (char == "S" and following.isupper())):
            end = symbol.find("_", at)  # S_, S1_, SA_, T_, T0_
            at = size if end < 0 else end + 1
            continue
        if char in "ST":  # St, Sa, Ss …; TV, TI, TS, TT
            at += 2
            continue
        if (char in "CD" and following in "012345" and following) or char + following in _OPERATORS:
            at += 2  # a constructor or destructor, an assignment operator
            continue
        if char == "L" and not following.isdigit() and following != "_":  # Lb1E, LZ…E
            end = symbol.find("E", at)
            at = size if end < 0 else end + 1
            depth += end < 0
            continue
        if char in "NIFXJZ":
            depth += 1
        elif char == "E":
            depth = max(0, depth - 1)
        at += 1
    return False, depth


def is_cut(symbol: str) -> bool:
    """Whether a mangled name ends inside an identifier, or with a name or an argument list open."""
    short, depth = _rest(symbol)
    return short or depth > 0


def continues(chunk: str) -> bool:
    """Whether a word can only be the rest of a mangled name: no English word looks like it."""
    if len(chunk) < 3 or not chunk.replace("_", "").isalnum() or not chunk.isascii():
        return False
    digits = sum(1 for char in chunk if char.isdigit())
    return digits >= 1 and ("E" in chunk or "_" in chunk) and not chunk[0].isdigit() and any(c.isupper() for c in chunk)


def _is_mangled(chunk: str) -> bool:
    """Whether a word may stand inside a mangled name: it has a digit, or nothing but the grammar's letters."""
    return any(char.isdigit() for char in chunk) or all(char in "EKPRNSvijlbcxmyfdstahzOI_" for char in chunk)


def join_cut(symbol: str, rest: str) -> str:
    """``symbol`` with the pieces that a narrow terminal or a copied page broke off it.

    ``rest`` is the text behind the symbol. A piece is taken while the name is cut (``is_cut``),
    or where the break is wide or a line end and the piece can only be mangled text.
    """
    if not symbol.lstrip("_").startswith("Z"):
        return symbol
    for _ in range(16):
        gap = len(rest) - len(rest.lstrip(" \t\r\n\\"))
        if not gap:
            break
        space, rest = rest[:gap], rest[gap:]
        end = 0
        while end < len(rest) and (rest[end].isalnum() or rest[end] in "_$."):
            end += 1
        chunk = rest[:end].rstrip(".")
        if not chunk or not chunk.isascii():
            break
        short, depth = _rest(symbol)
        wide = "\n" in space or gap > 1
        if short or (depth and _is_mangled(chunk)) or (wide and continues(chunk)):
            symbol, rest = symbol + chunk, rest[end:]
        else:
            break
    return symbol


def is_old_abi(symbol: str) -> bool:
    """Whether the name speaks of the old std::string (or of a tagged one without its tag)."""
    if "__cxx11" in symbol or "B5cxx11" in symbol:
        return False
    if symbol.endswith("Ss") or any(mark in symbol for mark in _OLD_STRING):
        return True
    return "10tensorflow" in symbol and any(mark in symbol for mark in _RETURNS_STRING)


def is_new_abi(symbol: str) -> bool:
    """Whether the name speaks of std::__cxx11::basic_string (or list)."""
    return "__cxx11" in symbol or "B5cxx11" in symbol


def is_of_host(symbol: str) -> bool:
    """Whether the program that loads a plug-in defines the symbol: V8 and Node.js have another interface each year."""
    return "2v8" in symbol[:8] or "4node" in symbol[:8] or symbol.startswith(("napi_", "uv_"))


def is_fortran(symbol: str) -> bool:
    """Whether a Fortran compiler named it, as BLAS and LAPACK are called: ``dgemm_``."""
    return symbol.endswith("_") and not symbol.startswith("_") and symbol.islower() and symbol.isidentifier()


#: Names of the C library, of the C++ and OpenMP runtimes, of zlib, BLAS and MPI that all their releases have.
_EVER = frozenset((
    "dlopen", "dlsym", "dlclose", "dlerror", "dladdr", "shm_open", "shm_unlink", "pthread_create", "pthread_join",
    "pthread_atfork", "pthread_mutexattr_settype", "pthread_mutex_trylock", "sem_open", "sem_init", "sem_post",
    "sem_wait", "clock_gettime", "timer_create", "timer_settime", "mq_open", "aio_read", "crypt", "sqrt", "sqrtf",
    "pow", "powf", "exp", "expf", "log", "logf", "log10", "sin", "sinf", "cos", "cosf", "tan", "atan2", "floor",
    "ceil", "fmod", "lgamma", "__gxx_personality_v0", "__cxa_pure_virtual", "__cxa_guard_acquire",
    "__cxa_begin_catch", "__cxa_allocate_exception", "_ZSt4cout", "_ZSt4cerr", "_ZSt4cin", "_ZNSt8ios_base4InitC1Ev",
    "_ZNSt8ios_base4InitD1Ev", "_ZSt9terminatev", "_ZSt17__throw_bad_allocv", "_ZSt20__throw_length_errorPKc",
    "_ZSt4endlIcSt11char_traitsIcEERSt13basic_ostreamIT_T0_ES6_", "MPI_Init", "MPI_Finalize", "MPI_Comm_rank",
    "inflate", "inflateEnd", "deflate", "deflateEnd", "gzopen", "gzclose", "compress", "uncompress", "zlibVersion",
    "MPI_Comm_size", "GOMP_barrier", "GOMP_critical_start", "GOMP_parallel_start",
))  # fmt: skip


def is_ever_defined(symbol: str) -> bool:
    """Whether every release of the library that defines it has it: undefined then means not linked with it."""
    return symbol in _EVER or symbol.startswith(("omp_get_", "omp_set_", "__kmpc_", "cblas_"))


def is_withdrawn(symbol: str) -> bool:
    """Whether glibc 2.31 took it away: the variants for ``-ffinite-math-only`` (``__exp_finite``)."""
    return symbol.endswith("_finite") and symbol.startswith(("__", "_ZGV"))


def family(symbol: str) -> str:
    """Who would define the symbol.

    One of ``libstdc++``, ``libc++``, ``python``, ``tensorflow-release``, ``tensorflow``, ``framework``,
    ``absl``, ``torch-python``, ``glibc-fortify``, ``c++`` or ``c``.
    """
    name = plain(symbol)
    if name.startswith("_Z"):
        if "St3__1" in name[:12] or "NSt3__1" in name[:16]:
            return "libc++"
        if name.startswith(("_ZNSt", "_ZNKSt", "_ZSt", "_ZTISt", "_ZTVSt", "_ZTVNSt", "_ZTINSt", "_ZNVSt", "_ZNSs")):
            return "libstdc++"
        if "10tensorflow" in name or "3tsl" in name or "3xla" in name:
            return "tensorflow-release" if any(mark in name for mark in _TF_RELEASE) else "tensorflow"
        if "4absl" in name:
            return "absl"
        if "perftools8gputools" in name:
            return "tensorflow-release"
        if any(mark in name[:14] for mark in _FRAMEWORKS) or "6google8protobuf" in name:
            return "framework"
        return "c++"
    if name.startswith(("Py", "_Py", "init")) and "PyInit" not in name:
        return "python"
    if name.startswith(("pyfloat_", "pylong_", "pyobject_", "pyexc_", "pyunicode_", "pymodule_", "pyclass_")):
        return "python"  # as somebody typed it
    if name.startswith(("__cxa_", "__gxx_", "_Unwind_")):
        return "libstdc++"
    if name.startswith("__") and name.endswith("_chk"):
        return "glibc-fortify"
    if name.startswith("THP"):
        return "torch-python"
    if name.startswith(("TF_", "TFE_")):
        return "tensorflow-release"
    return "c"
