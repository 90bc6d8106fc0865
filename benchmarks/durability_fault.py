"""Mistakes that an editor can be given, to see that the check of durability finds them."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """What is wrong with the editor."""

    #: It acknowledges a change before it is written.
    ACKNOWLEDGES_FIRST = "acknowledges-first"
    #: It appends behind a record that was cut short, as if that were a good one.
    KEEPS_REMAINS = "keeps-remains"
