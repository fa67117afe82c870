"""The helpers of this directory are importable by name, on every supported pytest."""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
