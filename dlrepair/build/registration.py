"""Which ops a library registers, asked of TensorFlow's own C API in a fresh interpreter without importing TensorFlow.

``TF_LoadLibrary`` and ``TF_GetOpList`` (tensorflow/c/c_api.h) lie in libtensorflow_cc or, in older releases, in the
module that Python imports; either loads into a bare interpreter.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from dlrepair.model.toolchain import TensorFlow

#: seconds; it takes half a second, and loads 800 MB from a cold disk
TIMEOUT = 60.0

_CHILD = """
import ctypes, sys
for path in sys.argv[1:]:
    tf = ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
library = sys.stdin.buffer.read()
if not library:
    sys.exit()
class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("free", ctypes.c_void_p)]
tf.TF_NewStatus.restype = tf.TF_LoadLibrary.restype = ctypes.c_void_p
tf.TF_LoadLibrary.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
tf.TF_GetCode.argtypes = tf.TF_Message.argtypes = tf.TF_GetOpList.argtypes = [ctypes.c_void_p]
tf.TF_Message.restype = ctypes.c_char_p
tf.TF_GetOpList.restype = Buffer
status = tf.TF_NewStatus()
library = tf.TF_LoadLibrary(library, status)
if tf.TF_GetCode(status):
    sys.exit("refused: " + tf.TF_Message(status).decode("utf-8", "replace"))
ops = tf.TF_GetOpList(library)
sys.stdout.buffer.write(b"ops:" + ctypes.string_at(ops.data, ops.length))
sys.stdout.flush()
import os
os._exit(0)
"""


class Asked:
    """An interpreter that loads TensorFlow while a compiler runs, and is then asked about one library."""

    def __init__(self, tensorflow: TensorFlow) -> None:
        self._child = _start(tensorflow)

    def find_missing(self, path: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the ops ``wanted`` that the library does not register; none where nobody could be asked.

        A library that this child cannot load is not judged here: the process that asks for it may hold what it lacks.
        """
        data = self.answer(path)
        if data is None:
            return ()
        # an OpDef begins with its name: field 1, its length, its bytes (tensorflow/core/framework/op_def.proto)
        return tuple(
            name for name in wanted if b"\n%c%s" % (len(name) & 0x7F, name.encode("ascii", "replace")) not in data
        )

    def answer(self, path: str) -> bytes | None:
        """The ops of a library as a serialized ``OpList``; None where nobody could be asked. Once."""
        import subprocess

        if self._child is None:
            return None
        try:
            out, _ = self._child.communicate(os.fsencode(path), timeout=TIMEOUT)
        except (OSError, ValueError, subprocess.SubprocessError):
            return None
        _, found, data = out.partition(b"ops:")
        return data if found and self._child.returncode == 0 else None

    def close(self) -> None:
        """Ends the interpreter, whatever it does."""
        child, self._child = self._child, None
        if child is None:
            return
        if child.poll() is None:
            child.kill()
        for stream in (child.stdin, child.stdout):
            stream.close()
        child.wait()


def find_ops(tensorflow: TensorFlow, path: str) -> tuple[str, ...]:
    """Names of the ops that the library registers; none where nobody could be asked."""
    asked = Asked(tensorflow)
    try:
        answer = asked.answer(path) or b""
    finally:
        asked.close()
    found = []
    for number, data in _fields(answer):
        if number == 1:  # OpList.op
            found += [name.decode("utf-8", "replace") for one, name in _fields(data) if one == 1]
    return tuple(found)


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, bytes) of each length-delimited field of a message, up to the first field of another kind."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while at < len(data):
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
        return 0

    while at < len(data):
        tag = varint()
        if tag & 7 != 2:
            return
        length = varint()
        yield tag >> 3, data[at : at + length]
        at += length


def _libraries(tensorflow: TensorFlow) -> list[str]:
    """The framework, and what holds the C API."""
    folder = os.path.dirname(tensorflow.framework)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    found = [os.path.join(folder, name) for name in names if name.startswith("libtensorflow_cc.so.")]
    found.append(os.path.join(folder, "python", "_pywrap_tensorflow_internal.so"))
    return [tensorflow.framework, *[one for one in found if os.path.isfile(one)][:1]]


def _start(tensorflow: TensorFlow) -> Any:
    """The child; None where there is no C API to be asked. It ends when its standard input does."""
    import subprocess

    from dlrepair.build import compiler

    libraries = _libraries(tensorflow)
    if len(libraries) < 2:
        return None
    env = dict(compiler.environment(), TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    try:
        return subprocess.Popen(
            [compiler.interpreter(), "-I", "-S", "-E", "-c", _CHILD, *libraries], env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except OSError:
        return None
