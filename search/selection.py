"""A selection: the rows that a search may find, in the form that FAISS asks for them."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: FAISS's own annotations know little of its Python layer.
faiss: Any = import_module("faiss")


class Selection:
    """Rows that a search may find, compiled for FAISS when first needed.

    A flat index goes through a list of rows, which takes time in proportion to the rows selected;
    an inverted file asks a bitmap about each row of the lists that it visits. (On 1,000,000 vectors
    with 1% selected a flat index took half as long with the list as with the bitmap, with 0.1%
    one fortieth.)

    Parameters
    ----------
    mask : ndarray, shape (count,), bool
        True where a row may be found.
    """

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self.mask = mask
        self.n_rows = int(np.count_nonzero(mask))

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The rows that may be found, ascending."""
        return np.flatnonzero(self.mask).astype(np.int64)

    @cached_property
    def rows_selector(self) -> Any:
        """The rows as a FAISS selector."""
        return faiss.IDSelectorArray(self.rows)

    @cached_property
    def bits_selector(self) -> Any:
        """The mask as a FAISS selector."""
        return faiss.IDSelectorBitmap(np.packbits(self.mask, bitorder="little"))
