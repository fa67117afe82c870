"""Cells of a notebook, and lines at IPython's prompt, that ask whether a library is there: answered after a restart."""

from __future__ import annotations

import json

import pytest
from starting import Did, Project

pytestmark = pytest.mark.compile

CELLS = [
    "import os\nP = 'ops/libroi.so'",
    "import ctypes\nassert os.path.exists(P), P\nprint('says', ctypes.CDLL(P).roi())",
    "def need(path):\n    if not os.path.isfile(path):\n        raise OSError(path)\n    return path",
    "print('then', ctypes.CDLL(need(os.path.abspath('out/libroi.so'))).roi())",
    "print(sorted(name for name in dir() if not name.startswith('_')))\n%who",
]
KERNEL = """\
import json
from jupyter_client.manager import start_new_kernel

def show(message):
    content = message["content"]
    if message["msg_type"] == "stream":
        print(content["text"], end="")
    elif message["msg_type"] == "error":
        print("error", content["ename"], content["evalue"])

manager, client = start_new_kernel(kernel_name="python3", startup_timeout=60)
try:
    for cell in json.load(open("cells.json")):
        client.execute_interactive(cell, timeout=60, allow_stdin=False, output_hook=show)
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
"""


def plain(text: str) -> list[str]:
    """What is not dlrepair's, and no prompt."""
    ours = ("dlrepair", "help: ", "  tried: ")
    return [line for line in text.splitlines() if line and not line.startswith(ours)]


@pytest.mark.parametrize("way", ["kernel", "prompt"])
def test_cells(way: str, project: Project, ways_bare: str, ways: str) -> None:
    """Shown as ever and told once; a cell that asks is known at the next start, a cell that was changed is not."""
    project.world.library("build/libroi.so", "int roi(void) { return 42; }\n")
    project.write("kernel.py", KERNEL)

    def start(python: str, cells: list[str]) -> Did:
        if way == "kernel":
            project.write("cells.json", json.dumps(cells))
            return project.run([python, "kernel.py"])
        command = [python, "-m", "IPython", "--no-banner", "--simple-prompt", "--colors=nocolor"]
        return project.run(command, stdin="".join(one.replace("\n", "\x1b\n") + "\n" for one in cells).encode())

    cells = CELLS if way == "kernel" else [
        "import os, ctypes; P = 'ops/libroi.so'", "assert os.path.exists(P), P; print('says', ctypes.CDLL(P).roi())",
    ]  # fmt: skip
    broken = start(ways_bare, cells)
    first = start(ways, cells)
    assert not first.events("internal-error") and plain(first.out) == plain(broken.out), first.story() + broken.story()
    again = "Restart the kernel" if way == "kernel" else "Run it again"
    told = first.out + first.err
    assert "help: {}: ops/libroi.so taken from {} is learned".format(again, project.path("build/libroi.so")) in told
    second = start(ways, cells)
    assert "says 42" in second.out and not second.events("internal-error"), second.story()
    if way == "kernel":
        assert "then 42" in second.out and "error" not in second.out, second.story()
        assert plain(second.out)[-2:] == plain(broken.out)[-2:], second.story()  # no name of ours is seen
    changed = start(ways, [one.replace("assert os", "assert  1 and os") for one in cells])
    assert "says 42" not in changed.out, changed.story()
