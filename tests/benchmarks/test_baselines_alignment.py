"""Qmax and Dmax: recurrence, recursion, both engines, known answers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from coverdex.benchmarks.baselines import Dmax, Qmax, SiMPle, System, TwoDFTM
from coverdex.benchmarks.baselines import aligner as aligner_module
from coverdex.benchmarks.baselines.aligner import CrossRecurrenceAligner
from coverdex.benchmarks.baselines.cross_recurrence import mutual_neighbours, n_neighbours
from coverdex.benchmarks.baselines.dmax import dmax_paths
from coverdex.benchmarks.baselines.qmax import qmax_paths
from coverdex.benchmarks.baselines.system import InvalidParameterError
from coverdex.encoder.chroma import Chroma
from coverdex.encoder.errors import CoverdexError
from hypothesis import given, settings
from hypothesis import strategies as st

from .baselines_songs import (
    catalogue_of_covers,
    chord_progression,
    performance,
    share_of_covers_found_first,
)

needs_numba = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="needs numba (coverdex[baselines])"
)
engines = pytest.mark.parametrize("engine", [pytest.param("compiled", marks=needs_numba), "numpy"])
methods = pytest.mark.parametrize("method", [Qmax, Dmax])


def naive_qmax(r: np.ndarray, onset: float, extension: float) -> np.ndarray:
    q = np.zeros(r.shape)

    def less_cost(i: int, j: int) -> float:
        return q[i, j] - (onset if r[i, j] else extension)

    for i in range(2, r.shape[0]):
        for j in range(2, r.shape[1]):
            places = [(i - 1, j - 1), (i - 2, j - 1), (i - 1, j - 2)]
            if r[i, j]:
                q[i, j] = 1 + max(q[p] for p in places)
            else:
                q[i, j] = max(0, *(less_cost(*p) for p in places))
    return q


def naive_dmax(r: np.ndarray, onset: float, extension: float) -> np.ndarray:
    d = np.zeros(r.shape)
    r = r.astype(int)

    def cost(i: int, j: int) -> float:
        return onset if r[i, j] else extension

    for i in range(3, r.shape[0]):
        for j in range(3, r.shape[1]):
            places = {
                (i - 1, j - 1): 0,
                (i - 2, j - 1): r[i - 1, j],
                (i - 1, j - 2): r[i, j - 1],
                (i - 3, j - 1): r[i - 2, j] + r[i - 1, j],
                (i - 1, j - 3): r[i, j - 2] + r[i, j - 1],
            }
            if r[i, j]:
                d[i, j] = 1 + max(d[p] + passed for p, passed in places.items())
            else:
                d[i, j] = max(0, *(d[p] + passed - cost(*p) for p, passed in places.items()))
    return d


def test_qmax_of_a_diagonal_by_hand() -> None:
    paths = qmax_paths(np.eye(6, dtype=bool))
    assert np.diag(paths).tolist() == [0, 0, 1, 2, 3, 4]


def test_qmax_pays_for_a_gap_by_hand() -> None:
    recurrence = np.eye(8, dtype=bool)
    recurrence[4, 4] = recurrence[5, 5] = False
    # 1, 2; entering the gap costs 1, going on 1/4. (6, 6) comes from (4, 5), which is reached from
    # (3, 3) in one step for 1, not from (5, 5), which has paid 1 1/4.
    paths = qmax_paths(recurrence, onset=1.0, extension=0.25)
    assert np.diag(paths).tolist() == [0, 0, 1, 2, 1, 0.75, 2, 3]


def test_qmax_follows_half_tempo_by_hand() -> None:
    recurrence = np.zeros((12, 7), dtype=bool)
    recurrence[[2, 4, 6, 8, 10], [2, 3, 4, 5, 6]] = True
    assert qmax_paths(recurrence)[10, 6] == 5
    assert qmax_paths(recurrence.T)[6, 10] == 5


def test_dmax_goes_three_to_one_and_counts_what_it_passes_by_hand() -> None:
    recurrence = np.zeros((11, 7), dtype=bool)
    recurrence[[3, 6, 9], [3, 4, 5]] = True
    assert dmax_paths(recurrence)[9, 5] == 3
    assert qmax_paths(recurrence).max() < 3
    recurrence[[4, 5], [4, 4]] = True  # passed over on the way from (3, 3) to (6, 4)
    assert dmax_paths(recurrence)[6, 4] == 1 + 2 + 1


@pytest.mark.parametrize(("paths", "naive"), [(qmax_paths, naive_qmax), (dmax_paths, naive_dmax)])
@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 14), st.integers(1, 14)),
    st.floats(0.1, 0.9),
    st.sampled_from([(0.5, 0.5), (5.0, 0.5), (0.25, 1.0), (0.0, 0.0)]),
    st.integers(0, 2**31),
)
def test_paths_against_a_loop(
    paths: Callable[..., np.ndarray],
    naive: Callable[..., np.ndarray],
    shape: tuple[int, int],
    density: float,
    costs: tuple[float, float],
    seed: int,
) -> None:
    recurrence = np.random.default_rng(seed).random(shape) < density
    onset, extension = costs
    np.testing.assert_allclose(
        paths(recurrence, onset=onset, extension=extension),
        naive(recurrence, onset, extension),
        atol=1e-5,
    )


def test_mutual_neighbours_by_hand() -> None:
    distances = np.array([[0.0, 1.0, 9.0], [0.5, 2.0, 3.0], [9.0, 8.0, 4.0]])
    expected = [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    # one neighbour each: rows choose 0, 0, 2; columns choose 0, 0, 1
    assert mutual_neighbours(distances, 0.0).astype(int).tolist() == expected
    everything = mutual_neighbours(distances, 1.0)
    assert everything.all()


def test_number_of_neighbours() -> None:
    assert n_neighbours(100, 0.095) == 10  # floor(9.405) + 1
    assert n_neighbours(201, 0.095) == 20  # 200 * .095 is 19, whatever floating point makes of it
    assert n_neighbours(1, 0.095) == 1


@needs_numba
@methods
@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 70), min_size=2, max_size=4),
    st.sampled_from([0.02, 0.095, 0.3]),
    st.sampled_from([(9, 1), (1, 1), (4, 3)]),
    st.sampled_from([(0.5, 0.5), (5.0, 0.5)]),
    st.integers(1, 3),
    st.integers(0, 2**31),
)
def test_both_engines_give_the_same(
    method: type[CrossRecurrenceAligner],
    lengths: list[int],
    kappa: float,
    states: tuple[int, int],
    costs: tuple[float, float],
    n_transpositions: int,
    seed: int,
) -> None:
    # Values in quarters: distances are exact in float32, ties and all, so nothing can differ.
    rng = np.random.default_rng(seed)
    chromas = [Chroma(rng.integers(0, 5, (n, 12)) / 4, frame_rate=2.0) for n in lengths]
    system = method(
        rate=2.0,
        kappa=kappa,
        dimension=states[0],
        delay=states[1],
        onset=costs[0],
        extension=costs[1],
        n_transpositions=n_transpositions,
        engine="numpy",
    )
    slow = system.similarity_matrix(chromas)
    fast = replace(system, engine="compiled").similarity_matrix(chromas)
    np.testing.assert_array_equal(slow, fast)
    assert np.isfinite(fast).all()


@methods
def test_similarity_is_the_score_over_the_root_of_the_candidates_states(
    method: type[CrossRecurrenceAligner],
) -> None:
    song = chord_progression(1, 30)
    chromas = [performance(song), performance(song[:20], seed=1)]
    system = method(engine="numpy")
    raw = system.scores(system.prepare(chromas), 0, np.arange(2))
    n_states = np.array([60 - 8, 40 - 8])
    np.testing.assert_allclose(
        system.similarity_matrix(chromas)[0], raw / np.sqrt(n_states), rtol=1e-6
    )


def test_a_performance_meets_itself_along_the_whole_diagonal() -> None:
    chroma = performance(chord_progression(2, 40))
    system = Qmax(engine="numpy")
    score = system.scores(system.prepare([chroma]), 0, np.array([0]))
    assert score.tolist() == [80 - 8 - 2]  # the first two states cannot score


@engines
@methods
@pytest.mark.parametrize(
    "changes",
    [{"semitones": 5}, {"tempo": 1.4}, {"tempo": 0.7, "semitones": 9, "noise": 0.4}],
    ids=["transposed", "faster", "slower, transposed and noisy"],
)
def test_covers_are_found(
    method: type[CrossRecurrenceAligner], engine: str, changes: dict[str, float]
) -> None:
    similarities = method(engine=engine).similarity_matrix(catalogue_of_covers(**changes))
    assert share_of_covers_found_first(similarities) == 1.0


@engines
def test_transposing_every_candidate_changes_nothing(engine: str) -> None:
    plain = Qmax(engine=engine).similarity_matrix(catalogue_of_covers())
    moved = Qmax(engine=engine).similarity_matrix(catalogue_of_covers(semitones=7))
    np.testing.assert_allclose(plain, moved, atol=0.2)
    np.testing.assert_allclose(plain.diagonal(), moved.diagonal(), atol=1e-6)


def test_a_second_transposition_saves_a_wrong_first_choice() -> None:
    query = performance(chord_progression(3), noise=0.0)
    # A drone on another pitch class pulls the global profile of the cover to another key.
    values = query.values.copy()
    values[:, 6] += 1.0
    profile = query.values.mean(axis=0)
    cover = Chroma(values, frame_rate=query.frame_rate)
    assert profile.argmax() != values.mean(axis=0).argmax()
    one = Qmax(engine="numpy").similarity_matrix([query, cover])[0, 1]
    all_keys = Qmax(engine="numpy", n_transpositions=12).similarity_matrix([query, cover])[0, 1]
    assert all_keys >= one


@engines
@methods
def test_too_short_or_silent_chroma_scores_finitely(
    method: type[CrossRecurrenceAligner], engine: str
) -> None:
    chromas = [
        Chroma(np.ones((1, 12))),
        Chroma(np.zeros((400, 12))),
        performance(chord_progression(0, 5)),
        performance(chord_progression(0, 20)),
    ]
    similarities = method(engine=engine).similarity_matrix(chromas)
    assert np.isfinite(similarities).all()
    assert similarities[3, 0] == 0  # one state, no path


def test_progress_counts_every_pair_once() -> None:
    seen: list[tuple[int, int]] = []
    chromas = [performance(chord_progression(i, 10)) for i in range(4)]
    Qmax(engine="numpy").similarity_matrix(
        chromas, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(4, 10), (7, 10), (9, 10), (10, 10)]


def test_an_empty_catalogue_has_an_empty_matrix() -> None:
    assert Qmax(engine="numpy").similarity_matrix([]).shape == (0, 0)


def test_missing_numba_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aligner_module, "find_spec", lambda name: None)
    chromas = [performance(chord_progression(0, 10))]
    with pytest.raises(CoverdexError, match=r"coverdex\[baselines\]"):
        Qmax(engine="compiled").similarity_matrix(chromas)
    assert Qmax(engine="auto").similarity_matrix(chromas)[0, 0] > 0


@methods
def test_is_a_system_with_parameters(method: type[CrossRecurrenceAligner]) -> None:
    system = method(rate=3.0)
    assert isinstance(system, System)
    assert system.name == method.__name__
    assert system.parameters["rate"] == 3.0


@pytest.mark.parametrize("system", [Qmax, Dmax, SiMPle, TwoDFTM])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("rate", [0, -1.0, float("nan")]),
        ("aggregation", ["max"]),
        ("n_transpositions", [0, 13]),
        ("n_threads", [0, -1]),
        ("dimension", [0]),
        ("delay", [0]),
        ("kappa", [-0.1, 9.5]),
        ("onset", [-1.0]),
        ("extension", [-1.0]),
        ("engine", ["gpu"]),
        ("subsequence_length", [0]),
        ("n_components", [0]),
        ("grid", ["beat"]),
        ("patch_length", [0]),
        ("power", [0.0]),
        ("log_compression", [-1.0]),
    ],
)
def test_a_parameter_out_of_its_range_is_refused(
    system: Callable[..., System], name: str, values: list[object]
) -> None:
    """A percentage for a fraction, say, would give numbers, and of another method."""
    if name not in system().parameters:
        return
    for value in values:
        with pytest.raises(InvalidParameterError, match=rf"{name} of \S+ is {value!r}; give "):
            system(**{name: value})
