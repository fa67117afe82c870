"""Sixteen processes of sixteen threads write one journal: no line is torn, none is lost, the bounds hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from dlrepair.journal import reader, writer

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROCESSES, THREADS, LINES = 16, 16, 8

WRITER = """
import sys, threading
from dlrepair.journal import writer
who, lines, writer.MAX_FILE, writer.MAX_TOTAL = sys.argv[1], *map(int, sys.argv[2:])
start = threading.Barrier({threads})

def run(thread):
    start.wait()
    for number in range(lines):
        padding = "x" * ((thread * 2503 + number * 7919) % 40000)
        writer.emit("learned", who, thread=thread, number=number, padding=padding, length=len(padding))

threads = [threading.Thread(target=run, args=(number,)) for number in range({threads})]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert writer.problem() is None, writer.problem()
""".format(threads=THREADS)


def write_all(lines, largest_file, total):
    children = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(who), str(lines), str(largest_file), str(total)], cwd=ROOT)
        for who in range(PROCESSES)
    ]
    assert [process.wait(timeout=300) for process in children] == [0] * PROCESSES


def raw():
    for path, _, _ in reader.files():
        with open(path, "rb") as stream:
            yield from stream


def test_no_line_is_torn_or_lost(home):
    write_all(LINES, 5 * 1024 * 1024, writer.MAX_TOTAL)
    seen = set()
    for line in raw():
        assert line.endswith(b"\n") and len(line) <= writer.MAX_LINE
        event = json.loads(line.decode("ascii"))
        if "cut" not in event:
            assert len(event["padding"]) == event["length"]
        seen.add((event["incident"], event["thread"], event["number"]))
    assert len(seen) == PROCESSES * THREADS * LINES
    assert sum(1 for _ in raw()) == len(seen)
    assert len(reader.files()) > 1


def test_the_bounds_hold(home):
    write_all(LINES, 512 * 1024, 2 * 1024 * 1024)
    # a writer that found room may exceed it by the one line that it holds
    slack = PROCESSES * THREADS * writer.MAX_LINE
    assert reader.size()[1] <= 2 * 1024 * 1024 + slack
    assert all(os.path.getsize(path) <= 512 * 1024 + slack for path, _, _ in reader.files())
    for line in raw():
        json.loads(line.decode("ascii"))
