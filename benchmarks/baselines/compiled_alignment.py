"""The alignment of Qmax and Dmax, compiled: one call scores a query against many candidates.

The same arithmetic as :mod:`~coverdex.benchmarks.baselines.cross_recurrence`,
:mod:`~coverdex.benchmarks.baselines.qmax` and :mod:`~coverdex.benchmarks.baselines.dmax`, which are
the readable form and the oracle of the tests, for numba (the extra ``coverdex[baselines]``). What
makes it fast is less the compiler than the order of the work:

* inner products of states are sums along diagonals, never stacked vectors
  (:mod:`~coverdex.benchmarks.baselines.delay_embedding`);
* the k-th smallest distance of a row is found by bisection on the bit patterns of the distances
  (non-negative floats sort like the integers that spell them). Each step counts a row against one
  limit, which compilers turn into SIMD; it stops as soon as exactly k lie below;
* neither recursion looks to the left within its own row, so a row is a few SIMD loops over the
  columns, and only the last rows are kept. The loops are short functions of few arrays (with more,
  the compiler gives up proving that they don't overlap), and none takes a maximum in place (it
  would become a conditional store, which stays scalar).

The functions release the GIL, so threads share the work. They are compiled on first use (some
seconds) and cached on disk.

Shapes: ``frames`` (n_total_frames, 12) float32 is all performances one after another,
``starts`` (n_performances + 1,) where each begins.
"""

from __future__ import annotations

import numba
import numpy as np

_compiled = numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "nnan", "ninf"})
#: Counting in float32 (exact below 2**24) may be reordered freely, and so runs in SIMD.
_reordered = numba.njit(cache=True, nogil=True, fastmath=True)

_ZERO = np.float32(0)
_ONE = np.float32(1)
_TWO = np.float32(2)


@_compiled
def score_candidates(  # type: ignore[no-untyped-def]
    frames, starts, query, candidates, shifts, dimension, delay, kappa, onset, extension, long_gaps
):
    """Return Qmax (or Dmax) of one query with each of its candidates.

    Parameters
    ----------
    frames : ndarray, shape (n_total_frames, 12), float32
    starts : ndarray, shape (n_performances + 1,), int64
    query : int
        Number of the query among the performances.
    candidates : ndarray, shape (n_candidates,), int64
        Numbers of the candidates.
    shifts : ndarray, shape (n_candidates, n_transpositions), int64
        Semitones by which to move each candidate; the best score counts.
    dimension, delay : int
    kappa : float
    onset, extension : float32
    long_gaps : bool
        False for Qmax, True for Dmax.

    Returns
    -------
    ndarray, shape (n_candidates,), float32
    """
    scores = np.zeros(candidates.shape[0], dtype=np.float32)
    a = frames[starts[query] : starts[query + 1]]
    a_energies = _state_energies(a, dimension, delay)
    for c in range(candidates.shape[0]):
        first = starts[candidates[c]]
        b = frames[first : starts[candidates[c] + 1]]
        b_energies = _state_energies(b, dimension, delay)
        for t in range(shifts.shape[1]):
            products = _products(a, _pitches_moved_up(b, shifts[c, t]))
            distances = _distances(products, a_energies, b_energies, dimension, delay)
            rows = _limits(distances, kappa)
            columns = _limits(distances.T.copy(), kappa)
            if long_gaps:
                score = _dmax(distances, rows, columns, onset, extension)
            else:
                score = _qmax(distances, rows, columns, onset, extension)
            scores[c] = max(scores[c], score)
    return scores


@_compiled
def _state_energies(values, dimension, delay):  # type: ignore[no-untyped-def]
    n = values.shape[0] - (dimension - 1) * delay
    energies = np.zeros(n, dtype=np.float32)
    for i in range(n):
        for s in range(dimension):
            for p in range(values.shape[1]):
                energies[i] += values[i + s * delay, p] ** 2
    return energies


@_compiled
def _pitches_moved_up(values, semitones):  # type: ignore[no-untyped-def]
    """Return the transposed chroma pitch first, (12, n), so that time runs along memory."""
    n, n_pitches = values.shape
    pitches = np.empty((n_pitches, n), dtype=np.float32)
    for p in range(n_pitches):
        source = (p - semitones) % n_pitches
        for j in range(n):
            pitches[p, j] = values[j, source]
    return pitches


@_compiled
def _products(a, pitches):  # type: ignore[no-untyped-def]
    """Return the inner products of frames, (n, m), four pitch classes at a time."""
    n, m = a.shape[0], pitches.shape[1]
    products = np.zeros((n, m), dtype=np.float32)
    for i in range(n):
        row = products[i]
        for p in range(0, pitches.shape[0], 4):
            _add_products(a[i, p : p + 4], pitches[p : p + 4], row)
    return products


@_compiled
def _add_products(weights, pitches, row):  # type: ignore[no-untyped-def]
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    p0, p1, p2, p3 = pitches[0], pitches[1], pitches[2], pitches[3]
    for j in range(row.shape[0]):
        row[j] += w0 * p0[j] + w1 * p1[j] + w2 * p2[j] + w3 * p3[j]


@_compiled
def _distances(products, a_energies, b_energies, dimension, delay):  # type: ignore[no-untyped-def]
    """Return the squared distances between states, (n_states, m_states)."""
    rows, columns = a_energies.shape[0], b_energies.shape[0]
    distances = np.empty((rows, columns), dtype=np.float32)
    for i in range(rows):
        out = distances[i]
        _copy(products[i, :columns], out)
        for s in range(1, dimension):
            shift = s * delay
            _add(products[i + shift, shift : shift + columns], out)
        _products_to_distances(a_energies[i], b_energies, out)
    return distances


@_compiled
def _copy(source, out):  # type: ignore[no-untyped-def]
    for j in range(out.shape[0]):
        out[j] = source[j]


@_compiled
def _add(source, out):  # type: ignore[no-untyped-def]
    for j in range(out.shape[0]):
        out[j] += source[j]


@_compiled
def _products_to_distances(a_energy, b_energies, out):  # type: ignore[no-untyped-def]
    for j in range(out.shape[0]):
        out[j] = max(_ZERO, a_energy + b_energies[j] - _TWO * out[j])


@_compiled
def _limits(distances, kappa):  # type: ignore[no-untyped-def]
    """Return for each row a distance at or below which its nearest states lie."""
    bits = distances.view(np.int32)
    limits = np.empty(distances.shape[0], dtype=np.int32)
    k = np.float32(np.floor(kappa * (distances.shape[1] - 1) + 1e-9) + 1)
    for i in range(bits.shape[0]):
        row = bits[i]
        low = row[0]
        high = row[0]
        for j in range(row.shape[0]):
            low = min(low, row[j])
            high = max(high, row[j])
        limits[i] = _kth_smallest(row, k, low, high)
    return limits.view(np.float32)


@_compiled
def _kth_smallest(row, k, low, high):  # type: ignore[no-untyped-def]
    """Return bits b, low <= b <= high, with k values at or below b (more where values tie)."""
    while low < high:
        middle = np.int32(low + (high - low) // 2)
        count = _count_at_or_below(row, middle)
        if count == k:
            return middle
        if count < k:
            low = np.int32(middle + 1)
        else:
            high = middle
    return low


@_reordered
def _count_at_or_below(row, limit):  # type: ignore[no-untyped-def]
    count = _ZERO
    for j in range(row.shape[0]):
        count += _ONE if row[j] <= limit else _ZERO
    return count


@_compiled
def _qmax(distances, row_limits, column_limits, onset, extension):  # type: ignore[no-untyped-def]
    n, m = distances.shape
    if n < 3 or m < 3:
        return _ZERO
    paths = np.zeros((3, m), dtype=np.float32)
    paid = np.zeros((3, m), dtype=np.float32)  # paths less the cost of leaving them
    matched = np.empty(m - 2, dtype=np.float32)
    disrupted = np.empty(m - 2, dtype=np.float32)
    best = _ZERO
    # Costs in the first two rows and columns can stay 0: below 0, they lose against 0 anyway.
    for i in range(2, n):
        now, one, two = i % 3, (i - 1) % 3, (i - 2) % 3
        _largest(paths[one, 1:-1], paths[two, 1:-1], paths[one, :-2], matched)
        _largest(paid[one, 1:-1], paid[two, 1:-1], paid[one, :-2], disrupted)
        row = distances[i, 2:]
        limit = row_limits[i]
        _choose(row, limit, column_limits[2:], matched, disrupted, paths[now, 2:])
        _pay(row, limit, column_limits[2:], onset, extension, paths[now, 2:], paid[now, 2:])
        best = max(best, _row_maximum(paths[now]))
    return best


@_compiled
def _dmax(distances, row_limits, column_limits, onset, extension):  # type: ignore[no-untyped-def]
    n, m = distances.shape
    if n < 4 or m < 4:
        return _ZERO
    paths = np.zeros((4, m), dtype=np.float32)
    paid = np.zeros((4, m), dtype=np.float32)
    near = np.zeros((4, m), dtype=np.float32)
    down_both = np.empty(m - 3, dtype=np.float32)
    right_both = np.empty(m - 3, dtype=np.float32)
    short = np.empty(m - 3, dtype=np.float32)
    matched = np.empty(m - 3, dtype=np.float32)
    disrupted = np.empty(m - 3, dtype=np.float32)
    best = _ZERO
    for i in range(n):
        now, one, two, three = i % 4, (i - 1) % 4, (i - 2) % 4, (i - 3) % 4
        _mark(distances[i], row_limits[i], column_limits, near[now])
        if i >= 3:
            down, right = near[one, 3:], near[now, 2:-1]
            _sum(down, near[two, 3:], down_both)
            _sum(right, near[now, 1:-2], right_both)
            # First the steps over at most two states, then those over three.
            _largest_passed(
                paths[one, 2:-1], paths[two, 2:-1], down, paths[one, 1:-2], right, short
            )
            _largest_passed(
                short, paths[three, 2:-1], down_both, paths[one, :-3], right_both, matched
            )
            _largest_passed(paid[one, 2:-1], paid[two, 2:-1], down, paid[one, 1:-2], right, short)
            _largest_passed(
                short, paid[three, 2:-1], down_both, paid[one, :-3], right_both, disrupted
            )
            row, limits = distances[i, 3:], column_limits[3:]
            _choose(row, row_limits[i], limits, matched, disrupted, paths[now, 3:])
            best = max(best, _row_maximum(paths[now]))
        _pay(distances[i], row_limits[i], column_limits, onset, extension, paths[now], paid[now])
    return best


@_compiled
def _mark(row, limit, column_limits, near):  # type: ignore[no-untyped-def]
    for j in range(row.shape[0]):
        near[j] = _ONE if row[j] <= min(limit, column_limits[j]) else _ZERO


@_compiled
def _largest(a, b, c, out):  # type: ignore[no-untyped-def]
    for j in range(out.shape[0]):
        out[j] = max(a[j], max(b[j], c[j]))


@_compiled
def _choose(row, limit, column_limits, matched, disrupted, out):  # type: ignore[no-untyped-def]
    for j in range(out.shape[0]):
        near = row[j] <= min(limit, column_limits[j])
        out[j] = matched[j] + _ONE if near else max(_ZERO, disrupted[j])


@_compiled
def _pay(row, limit, column_limits, onset, extension, paths, out):  # type: ignore[no-untyped-def]
    for j in range(out.shape[0]):
        near = row[j] <= min(limit, column_limits[j])
        out[j] = paths[j] - (onset if near else extension)


@_compiled
def _sum(a, b, out):  # type: ignore[no-untyped-def]
    for j in range(out.shape[0]):
        out[j] = a[j] + b[j]


@_compiled
def _largest_passed(a, b, passed_b, c, passed_c, out):  # type: ignore[no-untyped-def]
    for j in range(out.shape[0]):
        out[j] = max(a[j], max(b[j] + passed_b[j], c[j] + passed_c[j]))


@_reordered
def _row_maximum(row):  # type: ignore[no-untyped-def]
    best = row[0]
    for j in range(row.shape[0]):
        best = max(best, row[j])
    return best
