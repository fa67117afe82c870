"""The interpreter that a trial runs in, and one that is started before anybody knows what it is to load.

Its start takes longer than most loads: where a search may end in a trial, it is started first and waits, asleep, until
there is something to be tried. It is told that over a pipe, and killed where the search finds nothing. Meanwhile a wide
walk may have it list directories (``helper``). A program that handles SIGCHLD itself gets none ahead of time: its
handler may wait for any child, and this one does not end by itself.
"""

from __future__ import annotations

import os

from dlrepair.search import budget, children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Sequence

#: seconds after which a child that is asked nothing ends by itself, should nobody be left who could end it
PATIENCE = 120

#: bytes of a question that a pipe holds in any case (PIPE_BUF is 4096 on Linux; pipe(7))
_ROOM = 4096

#: How a child that waits is told things: messages of parts that end with a null byte each, and then a newline. Any but
#: these two is the question what to load. ``names`` begins a walk: its number, the number of entries from which a
#: directory is not answered for, the number of marks, the marks, and whole names: none of them is in a directory that
#: is. ``list``: the number below which nothing is wanted any more, the number of the first directory, directories.
#: They are listed last first, for the walk comes from the other end; "" stands for one that is not to be opened.
#: Answers, written at once: the walk's number and how many of its messages were read; then for each directory its path,
#: and ``d`` or ``l`` and the name of each directory and link in it. Where nobody reads them they are dropped. What
#: fails or is not simple has none: the walk looks itself.
_WAIT = """
def wait(questions, listings):
    text, walk, waiting, read, passed, full = b'', b'', [], 0, 0, {}
    while True:
        os.set_blocking(questions, not waiting)
        try:
            piece = os.read(questions, 65536)
            if not piece:
                os._exit(0)
        except BlockingIOError:
            piece = b''
        *messages, text = (text + piece).split(b'\\0\\n')
        for message in messages:
            kind, *parts = message.split(b'\\0')
            read += 1
            if kind == b'names':
                from itertools import islice
                walk, waiting, read, full = parts[0], [], 1, {}
                most, end = int(parts[1]), 3 + int(parts[2])
                marks, names = parts[3:end], frozenset(parts[end:])
            elif kind == b'list':
                passed, first = int(parts[0]), int(parts[1])
                waiting += enumerate(parts[2:], first)
            else:
                return [kind] + parts
        if not (messages or waiting):
            continue
        answer = b'%b %d\\0\\n' % (walk, read)
        for _ in range(16):
            if waiting and waiting[-1][0] < passed:
                waiting = []
            if not waiting:
                break
            directory = waiting.pop()[1]
            above = directory.rpartition(b'/')[0]
            if not directory or full.get(above, 0) >= 16:
                continue
            try:
                with os.scandir(directory) as entries:
                    found = list(islice(entries, most))
                if len(found) >= most:
                    full[above] = full.get(above, 0) + 1
                    continue
                own = [entry.name for entry in found]
                whole = b'/'.join(own)
                if not names.isdisjoint(own) or any(mark in whole for mark in marks):
                    continue
                said = directory
                for entry in found:
                    if not entry.is_file(follow_symlinks=False):
                        if entry.is_dir(follow_symlinks=False):
                            said += b'\\0d' + entry.name
                        elif entry.is_symlink():
                            said += b'\\0l' + entry.name
            except (OSError, ValueError):
                continue
            if len(answer) + len(said) < 4000:
                answer += said + b'\\0\\n'
        try:
            os.write(listings, answer)
        except OSError:
            pass
"""

#: Answers come over descriptor 0, so that none has to be inherited under a number of its own and what an
#: initialiser prints cannot be taken for an answer. ``os._exit`` leaves out destructors: a trial is about loading.
_CHILD = (
    _WAIT
    + """
import os
answers = os.dup(0)
null = os.open(os.devnull, os.O_RDWR)
os.dup2(null, 0)
import sys
def tell(text):
    os.write(answers, text.encode('utf-8', 'surrogateescape')[:4000].replace(b'\\n', b' ') + b'\\n')
try:
    import _signal
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except Exception:
    pass
try:
    from _ctypes import dlopen
except ImportError as error:
    tell('impossible ' + str(error))
    os._exit(0)
tell('ready')
questions, listings, count, paths = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
if questions >= 0:
    _signal.alarm(int(count))
    count, *paths = wait(questions, listings)
    os.close(questions)
    os.close(listings)
    _signal.alarm(0)
for at, path in enumerate(paths):
    tell('trying ' + str(at))
    try:
        dlopen(path, os.RTLD_NOW | (os.RTLD_GLOBAL if at < int(count) else os.RTLD_LOCAL))
    except UnicodeDecodeError as error:
        tell('failed ' + repr(error.object))
        os._exit(0)
    except BaseException as error:
        tell('failed ' + str(error))
        os._exit(0)
tell('done')
os._exit(0)
"""
)


class Child:
    """One interpreter under way: its process, our ends of its pipes, and in whose and which surroundings it started."""

    def __init__(self, program: str, values: Mapping[str, str], count: int, paths: Sequence[str] | None) -> None:
        """Start it with what it is to load, or with ``paths`` None to be asked later. Raises OSError, ValueError."""
        self.owner = os.getpid()
        self.values = values
        self.waited = 0.0
        self.walks = 0  #: that it has helped
        self._open: list[int] = []
        questions = self._question = listings_end = self._listings = -1
        answers_end = output_end = -1
        try:
            if paths is None:
                questions, self._question = self._pipe(children.LISTINGS + 1)
                self._listings, listings_end = self._pipe(children.LISTINGS + 1)
                for descriptor in (self._question, self._listings, listings_end):
                    os.set_blocking(descriptor, False)
            self.answers, answers_end = self._pipe()
            self.output, output_end = self._pipe()
            numbers = children.numbers_of((questions, listings_end)) if paths is None else (-1, -1)
            argv = [program, "-I", "-S", "-E", "-c", _CHILD, *map(str, numbers)]
            argv += [str(PATIENCE)] if paths is None else [str(count), *paths]
            further = (questions, listings_end) if paths is None else ()
            self.pid = children.spawn(program, argv, values, answers_end, output_end, further)
        except BaseException:
            self.close()
            raise
        # Our reading end of the questions stays open: writing to a child that has died must not raise SIGPIPE here.
        for descriptor in (answers_end, output_end, listings_end):
            if descriptor >= 0:
                self._open.remove(descriptor)
                os.close(descriptor)

    def _pipe(self, least: int = 3) -> tuple[int, int]:
        ends = children.pipe(least)
        self._open += ends
        return ends

    def ask(self, count: int, paths: Sequence[str]) -> bool:
        """Tell a waiting child what to load; whether it has got that."""
        try:
            self.waited = budget.waited_by(self.pid)
            return self.tell([str(count).encode(), *map(os.fsencode, paths)])
        except (OSError, ValueError):
            return False

    def tell(self, parts: Sequence[bytes]) -> bool:
        """Send a message to a waiting child; whether there was room for it, and it cannot be taken for two."""
        text = b"\0".join(parts)
        if len(text) + 2 > _ROOM or b"\0\n" in text:
            return False
        try:
            return os.write(self._question, text + b"\0\n") == len(text) + 2
        except OSError:
            return False

    def listed(self) -> bytes:
        """What it has said about directories since it was asked last; b"" for nothing."""
        try:
            return os.read(self._listings, 65536)
        except OSError:
            return b""

    def has_ended(self) -> bool:
        """Tell whether it is gone, whoever reaped it."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except (OSError, AttributeError):
            return True

    def conversation(self) -> children.Conversation:
        """What it says, to be listened to."""
        talk = children.Conversation(self.pid, self.answers, self.output)
        talk.waited = self.waited
        return talk

    def close(self) -> None:
        """Give the descriptors back."""
        for descriptor in self._open:
            os.close(descriptor)
        self._open = []

    def end(self) -> None:
        """End one that was asked nothing; in a fork of the process that started it, only give the descriptors back."""
        if self.owner == os.getpid():
            children.end(self.pid, self.conversation())
        self.close()


#: the one that waits, if any
_waiting: list[Child] = []


def prepare() -> None:
    """Start a child that a trial will want, unless one waits already or the program would notice. Never raises."""
    if _waiting or not hasattr(os, "waitid") or not _may_have_children():
        return
    program = children.interpreter()
    if not program:
        return
    try:
        _waiting.append(Child(program, children.trial_environment(None), 0, None))
    except (OSError, ValueError, ImportError, NotImplementedError, MemoryError):
        return


def _may_have_children() -> bool:
    """Tell whether nothing in the program looks at the end of a child that it has not started."""
    import _signal

    return bool(_signal.getsignal(_signal.SIGCHLD) == _signal.SIG_DFL)


def take(values: Mapping[str, str], count: int, paths: Sequence[str]) -> Child | None:
    """Return the child that waits, told what to load; None where there is none of this environment."""
    try:
        child = _waiting.pop()
    except IndexError:
        return None
    if child.owner == os.getpid() and child.values == values and not child.has_ended() and child.ask(count, paths):
        return child
    child.end()
    return None


def borrow() -> Child | None:
    """Return the child that waits, for nobody else to have until ``give_back``; None where there is none."""
    try:
        child = _waiting.pop()
    except IndexError:
        return None
    if child.owner == os.getpid():
        return child
    child.end()
    return None


def give_back(child: Child) -> None:
    """Let a borrowed child wait again, unless another was started meanwhile."""
    if _waiting:
        child.end()
    else:
        _waiting.append(child)


def drop() -> None:
    """End the child that waits for nothing any more."""
    while _waiting:
        try:
            _waiting.pop().end()
        except IndexError:
            return
