"""Many names out of a dynamic string table."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.binary.image import Image


class StringReader:
    """Names by their offset in the string table."""

    __slots__ = ("_all", "_image")

    #: reading a name costs about as much as copying this many bytes
    BYTES_A_READ = 4096
    MAX_WHOLE = 1 << 28

    def __init__(self, image: Image, wanted: int) -> None:
        self._image = image
        self._all: bytes | None = None
        size = min(image.str_size, image.size)
        if image.str_at is not None and size <= min(wanted * self.BYTES_A_READ + 65536, self.MAX_WHOLE):
            self._all = image.read(image.str_at, size)

    def get(self, index: int) -> bytes | None:
        """The name at ``index``, or None outside the table."""
        if self._all is None:
            return self._image.string(index)
        end = self._all.find(b"\0", index)
        return self._all[index:end] if end >= 0 else None
