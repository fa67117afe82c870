"""Bytes into facts: files, ld.so's search order, symbols and the process. Nothing here loads a library."""
