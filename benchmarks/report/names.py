"""The names of a report's files."""

from __future__ import annotations

import re


def file_name(system: str) -> str:
    """Make a system's name fit for a file."""
    return re.sub(r"[^\w.+-]+", "-", system).strip(".-") or "system"
