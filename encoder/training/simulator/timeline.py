"""Which moment of the score sounds in each frame of a simulated performance.

A cover keeps a work's material and changes its layout in time: it is faster or slower, it breathes,
it leaves sections out, repeats or exchanges them, comes in late, and has an introduction or a solo
of its own. All of that is a map from output frames to roll frames, made here with numpy one view at
a time (about 0.1 ms) and applied to the rolls by one gather.

What samplers play of the seeds has such a form, too (:mod:`..roll_performance`): whoever changes
what is drawn here, or in what order, changes the catalogues that ``make encoder`` renders.

Units: tempo ratios have none (1.2 is faster by a fifth, so the score runs by 1.2 times as fast);
lengths are in seconds of the score unless they say otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Fewest roll frames of a section; shorter ones make no musical sense and cost time.
_MIN_SECTION = 8


@dataclass(frozen=True)
class TimelineEffects:
    """Strengths of the changes in time; a zero switches an effect off.

    Parameters
    ----------
    tempo_spread : float
        Each view's tempo ratio is log-uniform in ``exp(-s) .. exp(s)``; 0.385 spans 0.68-1.47.
    section_tempo_spread : float
        Standard deviation of the log of each section's own ratio.
    warp_depth : float
        Greatest shift of a slow sinusoidal rubato, in seconds.
    section_seconds : (float, float)
        Shortest and longest section between possible cuts, in seconds.
    drop, repeat, swap, foreign : float
        Probability for each section to be left out, to be played twice, to change places with the
        next one, to be replaced by a stretch of another work (an introduction or solo).
    late_start : float
        A view starts up to this share of the score late, or of twice what it plays where that is
        less; half the views start on time.
    loop : float
        Probability that a view that reaches the score's end begins again instead of ending.
    """

    tempo_spread: float = 0.385
    section_tempo_spread: float = 0.03
    warp_depth: float = 0.25
    section_seconds: tuple[float, float] = (8.0, 30.0)
    drop: float = 0.08
    repeat: float = 0.08
    swap: float = 0.06
    foreign: float = 0.06
    late_start: float = 0.25
    loop: float = 0.5


@dataclass(frozen=True)
class Source:
    """Where a view's score lies in the corpus.

    Parameters
    ----------
    first, n_frames : int
        The version's stretch of :attr:`RollCorpus.rolls`.
    cyclic : bool
        Time wraps at the end.
    anchor : float
        Both views of an item start from this share of the score (0-1), before any late start.
    reverse : bool
        The whole work runs backwards, in both views alike: another work of the same style.
    """

    first: int
    n_frames: int
    cyclic: bool = False
    anchor: float = 0.0
    reverse: bool = False


def draw_timeline(
    source: Source,
    n_out: int,
    rate: float,
    effects: TimelineEffects,
    rng: np.random.Generator,
    others: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> tuple[NDArray[np.int64], int, NDArray[np.int64]]:
    """Draw one view's map from output frames to roll frames.

    Parameters
    ----------
    source : Source
    n_out : int
        Output frames wanted, at ``rate``.
    rate : float
        Frames per second of both roll and output.
    effects : TimelineEffects
    rng : numpy.random.Generator
    others : (first, n_frames), optional
        Versions of the corpus from which foreign sections are taken.

    Returns
    -------
    index : ndarray, shape (n_out,), int64
        Row of :attr:`RollCorpus.rolls` in each output frame; meaningless from ``n_valid`` on.
    n_valid : int
        Output frames before the score's end, between 1 and ``n_out``; a few less than ``n_out``
        too, where sections run faster than the view does as a whole.
    section : ndarray, shape (n_out,), int64
        Number of the section that each frame belongs to, from 0.
    """
    e = effects
    tempo = float(np.exp(rng.uniform(-e.tempo_spread, e.tempo_spread))) if e.tempo_spread else 1.0
    sections = _sections(source, int(n_out * tempo) + 1, rate, e, rng)
    starts, lengths = (np.array(v, dtype=np.float64) for v in zip(*sections, strict=True))
    ratio = tempo * np.exp(e.section_tempo_spread * rng.standard_normal(len(sections)))
    out_lengths = np.maximum(1, np.round(lengths / ratio)).astype(np.int64)
    n_valid = int(min(n_out, out_lengths.sum()))
    section = np.repeat(np.arange(len(sections)), out_lengths)[:n_valid]
    begun = np.cumsum(out_lengths) - out_lengths
    position = starts[section] + (np.arange(n_valid) - begun[section]) * ratio[section]
    if e.warp_depth:
        position += _rubato(n_valid, rate, e.warp_depth, rng)
    if source.cyclic:
        index = np.floor(position).astype(np.int64) % source.n_frames
    else:
        np.maximum(position, 0, out=position)
        index = np.minimum(position.astype(np.int64), source.n_frames - 1)
    if source.reverse:
        index = source.n_frames - 1 - index
    index += source.first
    if e.foreign and others is not None:
        _replace_sections(index, section, len(sections), e.foreign, others, ratio, rng)
    padded = np.full(n_out, source.first, dtype=np.int64)
    padded[:n_valid] = index
    labels = np.full(n_out, section[-1], dtype=np.int64)
    labels[:n_valid] = section
    return padded, n_valid, labels


def _sections(
    source: Source, needed: int, rate: float, e: TimelineEffects, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Start and length, in roll frames, of the sections that a view plays."""
    n = source.n_frames
    start = int(source.anchor * n)
    if e.late_start and rng.random() < 0.5:
        start += int(rng.uniform(0, e.late_start) * min(n, 2 * needed))
    if not source.cyclic:
        start = min(start, max(0, n - _MIN_SECTION))
    shortest, longest = (max(_MIN_SECTION, int(s * rate)) for s in e.section_seconds)
    played: list[tuple[int, int]] = []
    total, at, went_round = 0, start, source.cyclic
    while total < needed:
        if at >= n and not source.cyclic:
            if not went_round and rng.random() >= e.loop:
                break
            at, went_round = 0, True
        length = int(rng.integers(shortest, longest + 1))
        if not source.cyclic:
            length = min(length, n - at)
        u = rng.random()
        if u >= e.drop or not played:
            played.append((at, length))
            total += length
            if u >= 1.0 - e.repeat:
                played.append((at, length))
                total += length
        at += length
    if e.swap:
        for k in np.flatnonzero(rng.random(max(0, len(played) - 1)) < e.swap):
            played[k], played[k + 1] = played[k + 1], played[k]
    return played


def _rubato(n: int, rate: float, depth: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Shift of time in frames: a sinusoid of 6-30 s and up to ``depth`` seconds."""
    period = rng.uniform(6.0, 30.0) * rate
    phase = rng.uniform(0, 2 * np.pi)
    amplitude = rng.uniform(0, depth) * rate
    shift: NDArray[np.float64] = amplitude * np.sin(2 * np.pi * np.arange(n) / period + phase)
    return shift


def _replace_sections(
    index: NDArray[np.int64],
    section: NDArray[np.int64],
    n_sections: int,
    probability: float,
    others: tuple[NDArray[np.int64], NDArray[np.int64]],
    ratio: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    """Put stretches of other works in place of some sections, in place (never of all)."""
    chosen = np.flatnonzero(rng.random(n_sections) < probability)
    if chosen.size == n_sections:
        chosen = chosen[1:]
    first, n_frames = others
    for k in chosen:
        where = np.flatnonzero(section == k)
        if where.size == 0:
            continue
        j = int(rng.integers(first.size))
        offset = int(rng.integers(n_frames[j]))
        steps = np.floor(np.arange(where.size) * ratio[k]).astype(np.int64)
        index[where] = first[j] + (offset + steps) % n_frames[j]
