from __future__ import annotations
def describe_fd(fd: int, size: int) -> str:
    return "Windows file (PE)"
