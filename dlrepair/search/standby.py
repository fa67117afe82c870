"""The interpreter that a trial runs in, and one that is started before anybody knows what it is to load.

Its start takes longer than most loads: where a search may end in a trial, it is started first and waits, asleep, until
there is something to be tried. It is told that over a pipe, and killed where the search finds nothing. A program that
handles SIGCHLD itself gets none ahead of time: its handler may wait for any child, and this one does not end by itself.
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

#: Answers come over descriptor 0, so that none has to be inherited under a number of its own and what an
#: initialiser prints cannot be taken for an answer. ``os._exit`` leaves out destructors: a trial is about loading.
_CHILD = """
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
questions, count, paths = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
if questions >= 0:
    _signal.alarm(int(count))
    text = b''
    while not text.endswith(b'\\0\\n'):
        piece = os.read(questions, 65536)
        if not piece:
            os._exit(0)
        text += piece
    os.close(questions)
    _signal.alarm(0)
    count, *paths = text[:-2].split(b'\\0')
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


class Child:
    """One interpreter under way: its process, our ends of its pipes, and in whose and which surroundings it started."""

    def __init__(self, program: str, values: Mapping[str, str], count: int, paths: Sequence[str] | None) -> None:
        """Start it with what it is to load, or with ``paths`` None to be asked later. Raises OSError, ValueError."""
        self.owner = os.getpid()
        self.values = values
        self.waited = 0.0
        self._open: list[int] = []
        questions = self._question = -1
        answers_end = output_end = -1
        try:
            if paths is None:
                questions, self._question = self._pipe(children.QUESTIONS + 1)
                os.set_blocking(self._question, False)
            self.answers, answers_end = self._pipe()
            self.output, output_end = self._pipe()
            number = children.question_number(questions) if paths is None else -1
            argv = [program, "-I", "-S", "-E", "-c", _CHILD, str(number)]
            argv += [str(PATIENCE)] if paths is None else [str(count), *paths]
            self.pid = children.spawn(program, argv, values, answers_end, output_end, questions)
        except BaseException:
            self.close()
            raise
        # Our reading end of the questions stays open: writing to a child that has died must not raise SIGPIPE here.
        for descriptor in (answers_end, output_end):
            self._open.remove(descriptor)
            os.close(descriptor)

    def _pipe(self, least: int = 3) -> tuple[int, int]:
        ends = children.pipe(least)
        self._open += ends
        return ends

    def ask(self, count: int, paths: Sequence[str]) -> bool:
        """Tell a waiting child what to load; whether it has got that."""
        text = b"\0".join([str(count).encode(), *map(os.fsencode, paths)]) + b"\0\n"
        try:
            self.waited = budget.waited_by(self.pid)
            return len(text) <= _ROOM and os.write(self._question, text) == len(text)
        except (OSError, ValueError):
            return False

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


def drop() -> None:
    """End the child that waits for nothing any more."""
    while _waiting:
        try:
            _waiting.pop().end()
        except IndexError:
            return
