"""Baselines: the systems of the literature that a cover finder is measured against.

Our own implementations, from the papers:

:class:`TwoDFTM`
    magnitudes of the 2D Fourier transform of chroma patches (Bertin-Mahieux and Ellis 2012);
:class:`SiMPle`
    similarity matrix profile of subsequences (Silva et al. 2016);
:class:`Qmax`
    cross recurrence and local alignment (Serrà, Serra and Andrzejak 2009);
:class:`Dmax`
    the same with further steps (Chen, Li and Xiao 2017).

>>> from coverdex.benchmarks.baselines import Qmax
>>> Qmax(rate=2.0).similarity_matrix(chromas)              # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .dmax import Dmax
    from .qmax import Qmax
    from .simple_profile import SiMPle
    from .system import System
    from .two_d_ftm import TwoDFTM

__all__ = ["Dmax", "Qmax", "SiMPle", "System", "TwoDFTM"]

_HOME_OF = {
    "Dmax": "dmax",
    "Qmax": "qmax",
    "SiMPle": "simple_profile",
    "System": "system",
    "TwoDFTM": "two_d_ftm",
}


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
