"""Which directories lie on another machine: they are not walked.

Read from ``/proc/self/mountinfo`` (proc_pid_mountinfo(5)), so that no network server and no automounter is asked
anything: a ``stat`` of a dead NFS server's directory hangs for minutes.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict

    #: mount point -> type of the file system
    Mounts = Dict[str, str]

#: File systems whose directories are read over a network or from another machine's disk, or cost more than that.
NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "9p", "virtiofs", "ceph", "lustre", "gpfs",
     "beegfs", "orangefs", "pvfs2", "glusterfs", "ocfs2", "gfs2", "panfs", "wekafs", "davfs", "vboxsf", "prl_fs",
     "drvfs", "autofs")
)  # fmt: skip

#: FUSE file systems that lie on a local disk; any other one may be the other side of the world.
_LOCAL_FUSE = frozenset(("fuse-overlayfs", "overlayfs", "mergerfs", "unionfs", "ntfs-3g", "ext2fs", "lxcfs", "bindfs"))

#: The kernel's own: no files of anybody.
PSEUDO = frozenset(
    ("proc", "sysfs", "devpts", "devtmpfs", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs", "bpf", "mqueue",
     "pstore", "configfs", "fusectl", "binfmt_misc", "nsfs", "efivarfs", "hugetlbfs")
)  # fmt: skip

MOUNTINFO = "/proc/self/mountinfo"


def find_slow(mountinfo: str = MOUNTINFO) -> Mounts:
    """Return the mount points that are not to be entered, with their types; the root directory is never one.

    On a machine without a disk everything is on a network: what ``/`` is made of is taken for local.
    """
    try:
        with open(mountinfo, "rb") as stream:
            data = stream.read()
    except OSError:
        return {}
    return parse(data)


def parse(data: bytes) -> Mounts:
    """Return the slow mount points of a mountinfo text. A later mount hides an earlier one at the same place."""
    types: dict[str, str] = {}
    for line in data.split(b"\n"):
        head, separator, tail = line.partition(b" - ")
        fields, kind = head.split(b" "), tail.split(b" ")[0]
        if separator and len(fields) >= 5:
            types[_unescape(fields[4])] = kind.decode("utf-8", "replace")
    own = types.pop("/", "")
    return {place: kind for place, kind in types.items() if kind in PSEUDO or (kind != own and is_network(kind))}


def is_network(kind: str) -> bool:
    """Tell whether a type of file system is reached over a network, or may be."""
    if kind.startswith("fuse."):
        return kind[5:] not in _LOCAL_FUSE
    return kind in NETWORK


def _unescape(raw: bytes) -> str:
    """Undo the octal escapes of blanks and backslashes (proc_pid_mountinfo(5))."""
    parts = raw.split(b"\\")
    text = parts[0]
    for part in parts[1:]:
        try:
            text += bytes([int(part[:3], 8)]) + part[3:]
        except ValueError:
            text += b"\\" + part
    return os.fsdecode(text)


def why_slow(path: str, slow: Mounts) -> str:
    """Return why ``path`` is not walked, "" when nothing speaks against it: the innermost mount above it decides."""
    best = ""
    for place in slow:
        if (path == place or path.startswith(place + "/")) and len(place) > len(best):
            best = place
    return "a network file system ({}): not walked".format(slow[best]) if best else ""
