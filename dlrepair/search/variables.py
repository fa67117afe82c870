"""Environment variables by which programs let their users say where a library is."""

from __future__ import annotations

ENDINGS = ("_LIB", "_LIBRARY", "_LIB_PATH", "_LIBRARY_PATH", "_LIB_DIR", "_LIBDIR", "_DATAPATH", "_SO", "_SO_PATH")

#: the loader's own, which name directories for everybody
LOADERS = ("LD_LIBRARY_PATH", "LIBRARY_PATH", "DYLD_LIBRARY_PATH")
