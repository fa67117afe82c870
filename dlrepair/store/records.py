"""Digests, and small text records that carry their own: what is torn or damaged is recognised."""

from __future__ import annotations

_HEAD = "dlrepair 1"


def key_of(*parts: str) -> str:
    """A digest of ``parts``, 32 hexadecimal digits: BLAKE2b (RFC 7693) over the length and bytes of each."""
    data = b"".join(b"%d:%s" % (len(raw), raw) for raw in (part.encode("utf-8", "surrogatepass") for part in parts))
    return digest(data)


def digest(data: bytes) -> str:
    """BLAKE2b of bytes, 32 hexadecimal digits."""
    try:
        from _blake2 import blake2b  # hashlib would load OpenSSL
    except ImportError:
        try:
            from hashlib import blake2b
        except ImportError:
            return _fnv(data)
    return blake2b(data, digest_size=16).hexdigest()


def _fnv(data: bytes) -> str:
    """FNV-1a, 128 bits: for an interpreter whose hash modules are what is broken. What a key leads to is re-vetted."""
    value = 0x6C62272E07BB014262B821756295C58D
    for byte in data:
        value = ((value ^ byte) * 0x1000000000000000000013B) & ((1 << 128) - 1)
    return "{:032x}".format(value)


def encode(record: dict[str, str]) -> bytes:
    """A record as ``decode`` takes it."""
    lines = [_HEAD]
    for name, value in record.items():
        lines.append("{}\t{}".format(_escape(name), _escape(value)))
    body = ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")
    return body + b"end\t" + digest(body).encode("ascii") + b"\n"


def decode(data: bytes) -> dict[str, str] | None:
    """The record; None where the bytes are not what ``encode`` wrote."""
    cut = data.rfind(b"end\t")
    if cut < 0 or data[cut + 4 :] != digest(data[:cut]).encode("ascii") + b"\n":
        return None
    lines = data[:cut].decode("utf-8", "surrogatepass").split("\n")
    if lines[0] != _HEAD:
        return None
    record = {}
    for line in lines[1:-1]:
        name, tab, value = line.partition("\t")
        if not tab:
            return None
        record[_unescape(name)] = _unescape(value)
    return record


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return "\\".join(part.replace("\\n", "\n").replace("\\t", "\t") for part in text.split("\\\\"))
