"""Sentences in which a library, an interpreter or a shell finds at run time that what was loaded is of another build."""

# ruff: noqa: E501

from __future__ import annotations

#: As ``sentences.SENTENCES``.
RELEASES = (
    # The kernel did not find the dynamic linker that a program names.
    ("bad ELF interpreter", r"""(?:(?P<obj>[^\s:]+): )?(?:[^\s:]*/)?(?P<missing>ld[\w.-]*\.so[\w.]*): bad ELF interpreter""", "not-found", 8, ""),
    ("required file not found", r"""(?P<obj>[^\s:]+): cannot execute: required file not found(?P<missing>)""", "not-found", 8, "interpreter"),
    # Functions that were compiled for another processor.
    ("CPU 0 is not supported", r"""CPU 0 is not supported""", "initializer", 6, "isa"),
    ("verify that both the operating system and the processor", r"""the processor support""", "initializer", 6, "isa"),
    ("atal glibc error: CPU", r"""[Ff]atal glibc error: CPU does not support""", "initializer", 6, "isa"),
    ("baseline optimizations", r"""built with baseline optimizations""", "initializer", 6, "isa"),
    # Two releases of a library, or of CUDA, meet.
    ("version incompatibility: ", r"""version incompatibility: \w+ was compiled""", "version-not-found", 6, "release"),
    ("compiled with different CUDA", r"""compiled with different CUDA (?:major )?versions""", "version-not-found", 6, "release"),
    ("load custom C++ ops", r"""[Cc]ouldn't load custom C\+\+ ops""", "version-not-found", 6, "release"),
    ("link-time", r"""link-time (?:version|ssl backend) \([^()]*\) is (?:older than|newer than|different from) compile-time""", "version-not-found", 6, "release"),
    ("HDF5 library version mismatch", r"""HDF5 library version mismatch""", "version-not-found", 6, "release"),
    ("running against HDF5", r"""running against HDF5 [\d.]+ when it was built against""", "version-not-found", 6, "release"),
    ("Application was built with", r"""Application was built with [\w.-]+ but is running with""", "version-not-found", 6, "release"),
    ("Wrong JPEG library version", r"""Wrong JPEG library version""", "version-not-found", 6, "release"),
    ("OpenSSL version mismatch", r"""OpenSSL version mismatch""", "version-not-found", 6, "release"),
    ("Protocol Buffer runtime", r"""requires version [\d.]+ of the Protocol Buffer runtime library""", "version-not-found", 6, "release"),
    ("built for another version of", r"""(?P<obj>_\w+) extension was built for another version of""", "version-not-found", 6, "release"),
    ("custom op (", r"""trying to load a custom op \((?P<obj>[^()\s]+)\)""", "version-not-found", 5, "release"),
    ("cannot import name", r"""cannot import name '(?P<missing>\w+)' from '[\w.]+' \((?P<obj>[^()\n]+\.(?:so|pyd))\)""", "undefined-symbol", 6, "dlsym"),
    # Kernels that are in no library that was loaded.
    ("does not exist", r"""operator (?P<obj>\w+::\w+) does not exist""", "not-found", 5, "op"),
    ("No OpKernel was registered", r"""No OpKernel was registered to support Op '(?P<obj>\w+)'""", "not-found", 5, "op"),
    ("' OpKernel for ", r"""No registered '(?P<obj>\w+)' OpKernel for """, "not-found", 5, "op"),
    ("C module is not installed", r"""The (?P<obj>_\w+) C module is not installed""", "not-found", 4, "module"),
    # Another Python.
    ("no current thread", r"""PyThreadState_Get: (?:no current thread|the function must be called)""", "python-abi", 6, "python"),
    ("module was compiled for Python", r"""module was compiled for Python (?P<missing>[\d.]+), but the interpreter""", "python-abi", 7, "python"),
    ("module not initialized properly", r"""dynamic module not initialized properly""", "python-abi", 6, "python"),
    ("compiletime version ", r"""compiletime version (?P<missing>[\d.]+) of module '(?P<obj>[\w.]+)' does not match runtime""", "python-abi", 6, "python"),
    ("umath failed to import", r"""numpy\.(?:_?core)\.umath failed to import""", "python-abi", 4, "python"),
)  # fmt: skip
