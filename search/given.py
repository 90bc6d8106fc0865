"""What callers give, one or many, in whatever holds it: text, a list, an array of NumPy or Arrow.

NumPy's scalars and arrays are near to Python's and not the same: an array has no truth value, and
its items are of types of its own. They become Python's here, before anything else looks at them.
"""

from __future__ import annotations

from typing import Any


def plain(value: Any) -> Any:
    """Make Python's own of a scalar or an array of NumPy, or of something of pandas or Arrow.

    An array of no dimensions becomes its only value, others become lists; whatever else there is
    stays as it is.
    """
    for name in ("tolist", "to_pylist"):
        convert = getattr(value, name, None)
        if callable(convert):
            return convert()
    return value


def listed(said: Any) -> list[Any]:
    """Make a list of one or many; text is one."""
    said = plain(said)
    if isinstance(said, str):
        return [said]
    try:
        return list(said)
    except TypeError:
        return [said]
