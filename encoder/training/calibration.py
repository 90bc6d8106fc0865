"""Calibration: whether simulated chroma looks like rendered and real chroma.

Four statistics of each track at the encoder's frame rate, averaged over tracks:

* the histogram of its values;
* the entropy of its frames, each scaled to sum to 1, in bits of 12 bins (at most 3.58);
* the autocorrelation of its bins over time, against the lag in seconds;
* the correlation between bins, against their distance in semitones (1 to 6).

``python -m coverdex.encoder.training.calibration --seeds TABLE... --real FOLDER --soundfont SF2...
--out docs/images/simulator-calibration.png`` renders a part of the seeds (:mod:`.rendering`),
simulates covers of the same ones, reads the real recordings and draws all three. ``--config`` takes
the simulator's strengths from a training configuration; where it has a channel for what is rendered
(:mod:`.channel`), a fourth kind is what was rendered after it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..chroma_file import read_chroma
from ..preprocessing import resampled
from .channel import ChannelEffects
from .config import read_settings, read_toml
from .corpus import Notes, RollCorpus, Version, roll_from_notes, split_bass
from .corpus_tables import read_notes
from .cover_batches import scale_tracks
from .simulator import CoverSimulator, SimulatorConfig, simulator_config

Frames = NDArray[np.float64]

#: Lags of the autocorrelation in frames.
LAGS = (1, 2, 4, 8, 16, 32, 64)
#: Edges of the histogram of values.
EDGES = np.linspace(0, 1, 21)
#: Edges of the histogram of entropies, in bits.
ENTROPY_EDGES = np.linspace(1.8, np.log2(12), 21)


@dataclass(frozen=True, eq=False)
class ChromaStatistics:
    """Statistics of one track, or their means over some.

    Parameters
    ----------
    values : ndarray, shape (20,)
        Share of values between neighbouring :data:`EDGES`.
    entropy : ndarray, shape (20,)
        Share of frames between neighbouring :data:`ENTROPY_EDGES`.
    autocorrelation : ndarray, shape (len(LAGS),)
    bins : ndarray, shape (6,)
        Correlation of bins that are 1 to 6 semitones apart.
    """

    values: Frames
    entropy: Frames
    autocorrelation: Frames
    bins: Frames

    @classmethod
    def of(cls, frames: NDArray[Any]) -> ChromaStatistics:
        """Take the statistics of one track, (n_frames, 12) from 0 to 1, more than 64 frames."""
        x = np.asarray(frames, dtype=np.float64)
        share = x / np.maximum(x.sum(axis=1, keepdims=True), 1e-9)
        entropy = -(share * np.log2(np.maximum(share, 1e-9))).sum(axis=1)
        centred = x - x.mean(axis=0)
        deviation = np.maximum(centred.std(axis=0), 1e-9)
        standard = centred / deviation
        across = standard.T @ standard / len(x)
        p = np.arange(12)
        return cls(
            np.histogram(np.clip(x, 0, 1), EDGES)[0] / x.size,
            np.histogram(np.clip(entropy, *ENTROPY_EDGES[[0, -1]]), ENTROPY_EDGES)[0] / len(x),
            np.array([(standard[lag:] * standard[:-lag]).mean() for lag in LAGS]),
            np.array([across[p, (p + k) % 12].mean() for k in range(1, 7)]),
        )


def over_tracks(
    tracks: Iterable[ChromaStatistics],
) -> tuple[ChromaStatistics, ChromaStatistics]:
    """Mean and standard deviation over tracks."""
    kept = list(tracks)
    names = ("values", "entropy", "autocorrelation", "bins")
    stacked = {name: np.stack([getattr(t, name) for t in kept]) for name in names}
    return (
        ChromaStatistics(**{n: v.mean(axis=0) for n, v in stacked.items()}),
        ChromaStatistics(**{n: v.std(axis=0) for n, v in stacked.items()}),
    )


def simulated_tracks(
    seeds: Sequence[tuple[str, str, Notes]], config: SimulatorConfig, *, seconds: float, seed: int
) -> list[NDArray[np.float32]]:
    """Simulate one cover of each seed."""
    versions = [
        Version(work, version, "seeds", roll_from_notes(split_bass(notes)))
        for work, version, notes in seeds
    ]
    simulator = CoverSimulator(RollCorpus.from_versions(versions), config)
    rng = np.random.default_rng(seed)
    n_frames = round(seconds * config.frame_rate)
    views, n_valid = simulator.views(np.arange(len(versions)), n_frames, rng)
    return [view[: int(n)].numpy() for view, n in zip(views, n_valid, strict=True)]


def through_channels(
    tracks: Sequence[NDArray[Any]], effects: ChannelEffects, *, seed: int
) -> list[NDArray[np.float32]]:
    """Send rendered tracks through channels, as training does: scaled before and after.

    Parameters
    ----------
    tracks : sequence of ndarray, shape (n_frames, 12), float
    effects : ChannelEffects
    seed : int
    """
    n_valid = torch.tensor([len(track) for track in tracks])
    x = torch.zeros(len(tracks), int(n_valid.max()), 12)
    for row, track in zip(x, tracks, strict=True):
        row[: len(track)] = torch.from_numpy(track.astype(np.float32))
    clean = scale_tracks(x, n_valid, "min-max")
    heard = scale_tracks(effects.apply(clean, np.random.default_rng(seed)), n_valid, "min-max")
    return [row[: int(n)].numpy() for row, n in zip(heard, n_valid, strict=True)]


def draw(groups: Mapping[str, Sequence[ChromaStatistics]], frame_rate: float, path: Path) -> None:
    """Draw the mean of each group, with one standard deviation over tracks, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 4)
    panels = (
        ("values", (EDGES[1:] + EDGES[:-1]) / 2, "value", "share of values"),
        ("entropy", (ENTROPY_EDGES[1:] + ENTROPY_EDGES[:-1]) / 2, "entropy of a frame (bits)", ""),
        ("autocorrelation", np.array(LAGS) / frame_rate, "lag (s)", "correlation over time"),
        ("bins", np.arange(1, 7), "distance of bins (semitones)", "correlation of bins"),
    )
    for name, statistics in groups.items():
        mean, deviation = over_tracks(statistics)
        for axis, (field, x, _, _) in zip(axes, panels, strict=True):
            y, spread = getattr(mean, field), getattr(deviation, field)
            (line,) = axis.plot(x, y, marker=".", label=f"{name} ({len(statistics)})")
            axis.fill_between(x, y - spread, y + spread, color=line.get_color(), alpha=0.12)
    for axis, (field, _, below, beside) in zip(axes, panels, strict=True):
        axis.set(xlabel=below, ylabel=beside)
        if field == "autocorrelation":
            axis.set_xscale("log")
    axes[0].legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Render, simulate, read, compare; see the module's text."""
    parser = argparse.ArgumentParser(description="Compare simulated, rendered and real chroma")
    parser.add_argument("--seeds", type=Path, nargs="+", required=True, help="note tables")
    parser.add_argument("--real", type=Path, required=True, help="folder with *_hpcp.h5 files")
    parser.add_argument("--soundfont", type=Path, nargs="+", required=True, help="SF2 files")
    parser.add_argument("--each", type=int, default=70, help="seeds of each table")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config", type=Path, help="training configuration")
    parser.add_argument("--cache", type=Path, help="folder in which rendered chroma is kept")
    parser.add_argument("--out", type=Path, required=True, help="PNG file")
    options = parser.parse_args()
    config = SimulatorConfig()
    rng = np.random.default_rng(options.seed)
    seeds: list[tuple[str, str, Notes]] = []
    for table in options.seeds:
        rows = list(read_notes(table))
        seeds += [rows[i] for i in rng.choice(len(rows), min(options.each, len(rows)), False)]
    rendered = [
        resampled(chroma[0], chroma[1], config.frame_rate) for chroma in _rendered(seeds, options)
    ]
    real = []
    for file in sorted(options.real.rglob("*_hpcp.h5")):
        chroma = read_chroma(file).chroma
        real.append(resampled(chroma.values, chroma.frame_rate, config.frame_rate))
    longest = max(LAGS)
    tracks: dict[str, Sequence[NDArray[Any]]] = {"real": real, "rendered": rendered}
    if (effects := _channel(options.config)) is not None:
        tracks["rendered, through channels"] = through_channels(
            rendered, effects, seed=options.seed
        )
    for name, strengths in _simulators(options.config).items():
        tracks[name] = simulated_tracks(
            seeds, strengths, seconds=options.seconds, seed=options.seed
        )
    groups = {
        name: [ChromaStatistics.of(track) for track in of_kind if len(track) > 2 * longest]
        for name, of_kind in tracks.items()
    }
    draw(groups, config.frame_rate, options.out)
    for name, statistics in groups.items():
        mean, _ = over_tracks(statistics)
        centres = (EDGES[1:] + EDGES[:-1]) / 2
        print(
            f"{name}: {len(statistics)} tracks, mean value {mean.values @ centres:.2f}, "
            f"autocorrelation {np.round(mean.autocorrelation, 2).tolist()}, "
            f"bins {np.round(mean.bins, 2).tolist()}"
        )


def _simulators(config: Path | None) -> dict[str, SimulatorConfig]:
    """Read the simulators of a training configuration: first, and later where it changes."""
    if config is None:
        return {"simulated": SimulatorConfig()}
    data = read_toml(config).get("data", {})
    found = {"simulated": simulator_config(data.get("simulator", {}))}
    if "later" in data:
        found["simulated, later"] = simulator_config(data["later"]["simulator"])
    return found


def _channel(config: Path | None) -> ChannelEffects | None:
    """Read the channel of what is rendered, where a training configuration has one."""
    if config is None:
        return None
    data = read_toml(config).get("data", {})
    table = data.get("rendered", {}).get("channel")
    return None if table is None else read_settings(ChannelEffects, table, where=str(config))


def _rendered(
    seeds: Sequence[tuple[str, str, Notes]], options: argparse.Namespace
) -> Iterable[tuple[NDArray[np.float32], float]]:
    """Render each seed, or take it from the cache: values and frame rate."""
    from .rendering import render

    for i, (work, version, notes) in enumerate(seeds):
        # All that decides a rendering: the same place in another choice of seeds is another one.
        fonts = [soundfont.name for soundfont in options.soundfont]
        decisive = json.dumps([options.seed, i, work, version, options.seconds, fonts])
        name = hashlib.sha256(decisive.encode()).hexdigest()[:16]
        kept = options.cache / f"{name}.npz" if options.cache else None
        if kept is not None and kept.exists():
            with np.load(kept) as found:
                yield found["values"], float(found["frame_rate"])
            continue
        rng = np.random.default_rng([options.seed, i])
        soundfont = options.soundfont[int(rng.integers(len(options.soundfont)))]
        chroma = render(notes, soundfont, rng, seconds=options.seconds)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.savez(kept, values=chroma.values, frame_rate=chroma.frame_rate)
        yield chroma.values, chroma.frame_rate


if __name__ == "__main__":
    main()
