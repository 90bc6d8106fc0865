from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

SIX_NAMES = ("a1", "a2", "a3", "b1", "b2", "n")
SIX_WORKS = ("a", "a", "a", "b", "b", "n")
SIX_PAIRS = {
    ("a1", "a2"): 0.90,
    ("a1", "a3"): 0.40,
    ("a2", "a3"): 0.35,
    ("b1", "b2"): 0.30,
    ("a1", "b1"): 0.50,
    ("a1", "b2"): 0.20,
    ("a1", "n"): 0.60,
    ("a2", "b1"): 0.10,
    ("a2", "b2"): 0.45,
    ("a2", "n"): 0.70,
    ("a3", "b1"): 0.55,
    ("a3", "b2"): 0.15,
    ("a3", "n"): 0.65,
    ("b1", "n"): 0.80,
    ("b2", "n"): 0.05,
}


@pytest.fixture
def six() -> NDArray[np.float64]:
    """Similarities of six performances a1 a2 a3 | b1 b2 | n, worked out by hand."""
    matrix = np.ones((6, 6))
    for (one, other), similarity in SIX_PAIRS.items():
        i, j = SIX_NAMES.index(one), SIX_NAMES.index(other)
        matrix[i, j] = matrix[j, i] = similarity
    return matrix


@pytest.fixture
def six_works() -> tuple[str, ...]:
    return SIX_WORKS
