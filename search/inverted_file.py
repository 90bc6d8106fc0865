"""Inverted files: lists of near vectors, and the two forms in which the vectors stand in them.

An inverted file (Sivic and Zisserman 2003; Jégou et al. 2011, IEEE TPAMI 33) clusters the vectors
and asks only the lists whose centres are nearest to the query. What is in the lists decides how
quickly they are gone through:

* *whole vectors*, as float16 or bytes: factory strings such as ``IVF4096,SQfp16``;
* *codes with refinement*, ``IVF4096,PQ64x4fsr,Refine(SQfp16)``: each component's distance from the
  list's centre becomes one of 16 levels. Comparing such codes takes table look-ups within a
  register (André et al. 2015, "Cache locality is not enough", PVLDB 9; Guo et al. 2020). The best
  ``k_factor`` times as many as wanted are then compared again by their float16 vectors, so the
  codes lose little of the answer.

Indexes that were planned before have codes on 32 principal directions only,
``PCA32,IVF4096,PQ32x4fsr,Refine(SQfp16)``; they are read and asked like the others, and a factory
string can still ask for one. FAISS's own principal component analysis subtracts the mean, which
changes the order of inner products. :func:`rotate_without_mean` rotates onto the eigenvectors of
the second moments instead: of all projections to so many dimensions this one keeps inner products
best, and nothing is moved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .selection import Selection, faiss

#: Vectors that the principal directions are found from, at most.
_SAMPLE = 65_536


def inverted_file_in(index: Any) -> Any:
    """Return the inverted file inside a FAISS index; None if there is none."""
    if is_refined(index):
        index = faiss.downcast_index(index.base_index)
    if isinstance(index, faiss.IndexPreTransform):
        index = faiss.downcast_index(index.index)
    return index if isinstance(index, faiss.IndexIVF) else None


def is_refined(index: Any) -> bool:
    """Say whether what the lists give is compared again, so that there is a ``k_factor``."""
    return isinstance(index, faiss.IndexRefine)


def inverted_file_parameters(
    index: Any, n_probe: int, k_factor: float, selection: Selection | None = None
) -> Any:
    """Make FAISS's parameters for asking a FAISS index that holds an inverted file.

    Parameters
    ----------
    index : faiss.Index
    n_probe : int
        Lists asked.
    k_factor : float
        How many times as many as wanted are compared again; without meaning where nothing is.
    selection : Selection, optional
        Rows that may be found.
    """
    parameters: Any = faiss.SearchParametersIVF()
    parameters.nprobe = n_probe
    if selection is not None:
        parameters.sel = selection.bits_selector
    inner = faiss.downcast_index(index.base_index) if is_refined(index) else index
    if isinstance(inner, faiss.IndexPreTransform):
        parameters = faiss.SearchParametersPreTransform(index_params=parameters)
    if is_refined(index):
        parameters = faiss.IndexRefineSearchParameters(
            k_factor=k_factor, base_index_params=parameters
        )
    return parameters


def rotate_without_mean(index: Any, vectors: NDArray[np.float32]) -> None:
    """Set the principal directions of an index that has them; see the module.

    Parameters
    ----------
    index : faiss.Index
        Not trained yet. Others than those of codes with refinement are left as they are.
    vectors : ndarray, shape (n, dimension), float32
        Of the index, or a sample.
    """
    inner = faiss.downcast_index(index.base_index) if is_refined(index) else index
    if not isinstance(inner, faiss.IndexPreTransform):
        return
    rotation = faiss.downcast_VectorTransform(inner.chain.at(0))
    if not isinstance(rotation, faiss.PCAMatrix):
        return
    sample = vectors[:: -(-len(vectors) // _SAMPLE)].astype(np.float64)
    _, directions = np.linalg.eigh(sample.T @ sample)
    strongest = directions[:, ::-1][:, : rotation.d_out].T.astype(np.float32)
    faiss.copy_array_to_vector(np.ascontiguousarray(strongest).ravel(), rotation.A)
    rotation.have_bias = False
    rotation.is_trained = True
