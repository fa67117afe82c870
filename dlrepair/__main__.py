"""``python -m dlrepair``: the same as the command ``dlrepair``."""

from __future__ import annotations

import sys

from dlrepair.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
