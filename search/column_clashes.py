"""Columns of an index that have the name of one which an export adds.

A catalogue may have a column ``rank``, and so does a table of candidates. The catalogue's then goes
by ``metadata_rank`` there (``metadata_metadata_rank`` if it has that one, too), so that neither is
lost and what the export adds always has the same name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence


def names_beside(taken: Collection[str], names: Sequence[str]) -> dict[str, str]:
    """Say what each of an index's columns is called beside those that an export adds.

    Parameters
    ----------
    taken : collection of str
        What the export adds.
    names : sequence of str
        The index's columns.

    Returns
    -------
    dict of str to str
        Column of the index to its name there; the same name but for those that are taken.
    """
    used = {*taken, *names}
    called = {}
    for name in names:
        new = name
        while new in taken or (new != name and new in used):
            new = f"metadata_{new}"
        used.add(new)
        called[name] = new
    return called
