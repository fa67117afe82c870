"""Real shared objects to compare on: DLREPAIR_TEST_TREES, or the interpreter's own and some of the system's."""

from __future__ import annotations

import os
import sysconfig

SYSTEM = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib")
SYSTEM_LIMIT = 150
#: read when the module is imported: the fixtures take such variables out of each test's environment
GIVEN = os.environ.get("DLREPAIR_TEST_TREES", "")


def is_elf(path):
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def below(root):
    """Shared objects below ``root``, each real file once, in a stable order."""
    found = {}
    for base, directories, files in os.walk(root):
        directories.sort()
        for name in sorted(files):
            path = os.path.join(base, name)
            if (name.endswith(".so") or ".so." in name) and os.path.isfile(path) and is_elf(path):
                found.setdefault(os.path.realpath(path), path)
    return sorted(found.values())


def shared_objects():
    """Every shared object to compare on."""
    if GIVEN:
        return [path for root in GIVEN.split(os.pathsep) for path in below(root)]
    own = [os.path.join(sysconfig.get_path("stdlib"), "lib-dynload"), sysconfig.get_path("platlib")]
    found = [path for root in own for path in below(root)]
    for root in SYSTEM:
        if os.path.isdir(root):
            names = sorted(name for name in os.listdir(root) if ".so" in name)
            system = [os.path.join(root, name) for name in names if is_elf(os.path.join(root, name))]
            found += system[:: max(1, len(system) // SYSTEM_LIMIT)][:SYSTEM_LIMIT]
            break
    return found
