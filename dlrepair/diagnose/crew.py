"""Work on many files, shared with children of this process; the answer is that of doing it here.

A child is a fork that takes task after task from a pipe and sends its answers in one piece when nothing is left. What
it does not answer, because it died, was killed or met an exception, is done here afterwards: an exception is raised
where it would have been raised without children.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence, TypeVar

    _Task = TypeVar("_Task")

#: a child costs some milliseconds, and its reading of what the others read as well
MOST = 4
#: numbers of two bytes each, in a pipe that holds 64 KiB
MAX_TASKS = 16384


def size() -> int:
    """How many processes may work at a time, this one included: 1 where nothing can be or should be forked."""
    try:
        cores = len(os.sched_getaffinity(0))
        alone = len(os.listdir("/proc/self/task")) == 1  # a fork of one thread would hold what the others locked
    except (AttributeError, OSError):  # not Linux
        return 1
    return min(cores, MOST) if alone else 1


def spread(
    work: Callable[[_Task], Any], tasks: Sequence[_Task], before: Callable[[], object] = lambda: None
) -> list[Any]:
    """``[work(task) for task in tasks]``; ``work`` answers what ``marshal`` can write.

    This process calls ``before`` first, while its children begin.
    """
    count = min(size(), len(tasks))
    if count < 2 or len(tasks) > MAX_TASKS:
        before()
        return [work(task) for task in tasks]
    answers: dict[int, Any] = {}
    queue, far = os.pipe()
    os.write(far, b"".join(number.to_bytes(2, "little") for number in range(len(tasks))))
    os.close(far)
    children: list[tuple[int, int]] = []
    try:
        try:
            while len(children) < count - 1:
                children.append(_fork(work, tasks, queue))
        except OSError:  # no more processes or descriptors: fewer hands
            pass
        before()
        _take(work, tasks, queue, answers)
        for _pid, near in children:
            answers.update(_answers_of(near))
    finally:
        os.close(queue)
        _end(children)
    return [answers[number] if number in answers else work(task) for number, task in enumerate(tasks)]


def _take(work: Callable[[_Task], Any], tasks: Sequence[_Task], queue: int, answers: dict[int, Any]) -> None:
    while True:
        raw = os.read(queue, 2)
        if len(raw) < 2:
            return
        number = int.from_bytes(raw, "little")
        answers[number] = work(tasks[number])


def _fork(work: Callable[[_Task], Any], tasks: Sequence[_Task], queue: int) -> tuple[int, int]:
    """(pid, the descriptor at which its answers arrive)."""
    near, far = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(near)
        os.close(far)
        raise
    if pid:
        os.close(far)
        return pid, near
    status = 1
    try:  # nothing of the parent's may run here: neither its handlers nor what it does at its exit
        import marshal

        os.close(near)
        answers: dict[int, Any] = {}
        _take(work, tasks, queue, answers)
        data = memoryview(marshal.dumps(answers))
        while data:
            data = data[os.write(far, data) :]
        status = 0
    except BaseException:  # Ctrl-C reaches every process of the terminal
        pass
    finally:
        os._exit(status)


def _answers_of(near: int) -> dict[int, Any]:
    """What a child says; nothing where it did not come to its end."""
    import marshal

    pieces = []
    while True:
        piece = os.read(near, 1 << 20)
        if not piece:
            break
        pieces.append(piece)
    try:
        answers = marshal.loads(b"".join(pieces))
    except (EOFError, ValueError, TypeError):
        return {}
    return answers if isinstance(answers, dict) else {}


def _end(children: Sequence[tuple[int, int]]) -> None:
    """No child outlives the work."""
    for pid, near in children:
        os.close(near)
        try:
            os.kill(pid, 9)  # it has answered, or its answer is not wanted any more
        except OSError:
            pass
        try:
            os.waitpid(pid, 0)
        except OSError:
            pass
