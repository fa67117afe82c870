from __future__ import annotations


def demangle(name: str) -> str:
    return name
