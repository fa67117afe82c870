"""What a name by itself makes probable: whose file it is, and of which library a function is."""

from __future__ import annotations

from dlrepair.diagnose import text as cut

#: Directories into which package managers put built files: whoever copies them copies another system's.
_INSTALLED = ("site-packages", "dist-packages", "node_modules", "/var/task/", "/opt/python/", "/layers/", ".egg",
              "vendor/")  # fmt: skip

#: Places that belong to an environment with libraries of its own, and places of the system.
ENVIRONMENT = ("conda", "/envs/", "venv", "/opt/", "miniforge", "mamba", "_MEI", "/home/", "/Users/", "/usr/local/")
_SYSTEM = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/", "/lib32/", "/usr/local/lib/lib", "/usr/local/bin/../lib/lib")

#: Words in a vendor's path that name a processor: several builds lie side by side there.
_MACHINES = ("linux64", "linux32", "x86_64", "x86-64", "x64", "x86", "i386", "i686", "amd64", "arm64", "aarch64",
             "armhf", "armv7", "arm", "arm32", "gnueabi", "gnueabihf", "ppc64le", "win32", "win64")  # fmt: skip

#: Where Debian and Python write a processor into every path.
_CONVENTIONS = (
    "/usr/lib/x86_64-linux-gnu/", "/lib/x86_64-linux-gnu/", "/usr/lib/aarch64-linux-gnu/",
    "-x86_64-linux-gnu.so", "-aarch64-linux-gnu.so", "/lib.linux-x86_64",
)  # fmt: skip

#: Where R, pip and distutils put what they have just compiled.
_BEING_BUILT = ("/00LOCK", "/00new/", "/Rtmp", "/build/lib.")

#: Functions of the C library that bionic got in a later release, as macros and inline functions became symbols.
BIONIC_LATER = frozenset((
    "sigfillset", "sigemptyset", "sigaddset", "sigdelset", "sigismember", "signal", "bsd_signal", "getpagesize",
    "rand", "srand", "random", "srandom", "atof", "strtof", "strtold", "stpcpy", "strchrnul", "strtod_l", "newlocale",
    "dl_iterate_phdr", "in6addr_any", "in6addr_loopback", "epoll_create1", "getauxval", "mmap64",
    "posix_memalign", "ftruncate64", "fopen64", "fseeko64", "stderr", "stdout", "stdin", "tcgetattr", "tcsetattr",
    "pthread_atfork", "__register_atfork", "iconv", "iconv_open", "getifaddrs", "freeifaddrs", "swab", "tempnam",
    "lockf", "syncfs", "preadv", "pwritev", "aligned_alloc", "quick_exit", "nl_langinfo", "getloadavg", "glob",
    "getentropy", "getrandom", "memfd_create", "timespec_get", "process_vm_readv", "__errno", "__aeabi_memcpy",
    "android_set_abort_message", "__system_property_read_callback", "ctermid", "wcstoll", "getline", "getdelim",
))  # fmt: skip

#: Names that Android's C library alone has.
OF_BIONIC = frozenset(("__sF", "__errno", "__android_log_print", "__android_log_write", "__system_property_get"))

#: Libraries that are parts of glibc, and functions that it got with its releases since 2.10.
OF_LIBC = ("libc.so", "libc-2", "libpthread", "librt.so", "librt-2", "libdl.so", "libdl-2", "libm.so", "libm-2",
           "libresolv", "libnss_", "libanl", "libutil", "ld-linux", "ld-2", "libthread_db")  # fmt: skip
GLIBC_LATER = frozenset((
    "secure_getenv", "getrandom", "getentropy", "memfd_create", "copy_file_range", "explicit_bzero", "reallocarray",
    "statx", "gettid", "__cxa_thread_atexit_impl", "quick_exit", "at_quick_exit", "timespec_get", "mlock2", "pwritev2",
    "preadv2", "renameat2", "name_to_handle_at", "fcntl64", "pthread_setname_np", "close_range", "arc4random",
    "arc4random_buf", "strlcpy", "strlcat", "__isoc23_strtol", "__isoc23_strtoul", "__isoc23_strtoll",
    "__isoc23_strtoull", "__isoc23_sscanf", "__isoc23_fscanf", "__libc_single_threaded", "_dl_find_object",
))  # fmt: skip

#: Functions that musl got with its releases since 1.1.20.
MUSL_LATER = frozenset((
    "getrandom", "getentropy", "explicit_bzero", "copy_file_range", "memfd_create", "mlock2", "name_to_handle_at",
    "open_by_handle_at", "statx", "reallocarray", "qsort_r", "pwritev2", "preadv2", "gettid", "tcgetwinsize",
    "tcsetwinsize", "ppoll", "dn_comp", "sigaltstack", "posix_getdents", "renameat2", "aligned_alloc", "memmem",
    "fopencookie", "pthread_getname_np", "pthread_getaffinity_np", "epoll_pwait2", "close_range", "strchrnul",
))  # fmt: skip

#: Libraries that practically every Linux system holds: not found means not looked for.
EVERYWHERE = ("libstdc++.so.6", "libgcc_s.so.1", "libz.so.1", "libm.so.6", "libpthread.so.0", "libdl.so.2")


def installed(name: str | None) -> bool:
    return bool(name) and any(mark in str(name) for mark in _INSTALLED)


def of_system(name: str | None) -> bool:
    return bool(name) and str(name).startswith(_SYSTEM)


def names_machine(path: str) -> bool:
    """Whether a path names a processor outside Debian's and Python's own naming schemes."""
    parts = "/".join(one for one in path.replace("\\", "/").lower().split("/") if not one.endswith(".egg"))
    for known in _CONVENTIONS:
        parts = parts.replace(known, "/")
    words = parts
    for mark in "/_-.":
        words = words.replace(mark, " ")
    tokens = words.split()
    return any(machine in tokens for machine in _MACHINES) or "x86_64" in parts or "x86-64" in parts


def is_linker(path: str) -> bool:
    """Whether the name is that of a dynamic linker."""
    return cut.base_name(path).startswith(("ld-linux", "ld-2", "ld.so", "ld-musl", "ld64"))


def packaged(obj: str) -> bool:
    """Whether it is a program, or a library with a version in its name: distributions link these themselves."""
    base = cut.base_name(obj)
    if obj.startswith("/usr/lib/python3/"):  # Debian's own modules
        return True
    return (base.startswith("lib") and ".so." in base) or (bool(obj) and not cut.is_library(obj))


def being_built(obj: str) -> bool:
    """Whether it lies where it was compiled: nobody has installed it, and its link may be incomplete."""
    directory = obj.rpartition("/")[0]
    return any(mark in obj for mark in _BEING_BUILT) or directory.endswith(("/build", "/Debug", "-debug", "-release"))


def own(obj: str, symbol: str) -> bool:
    """Whether a C symbol is named after its own library: a source file was left out when it was linked."""
    stem = cut.base_name(obj).split(".")[0].lower()
    stem = (stem[3:] if stem.startswith("lib") else stem).lstrip("_")
    return len(stem) > 3 and symbol.lower().replace("lib", "", 1).startswith(stem)
