"""Each effect of the cover simulator by itself, and the whole: seeded, switchable, in range."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from coverdex.encoder.training.corpus import N_PARTS, ROLL_RATE, RollCorpus, Version
from coverdex.encoder.training.cover_batches import CoverBatches, scale_tracks
from coverdex.encoder.training.sampler import WorkSampler
from coverdex.encoder.training.simulator import (
    AcousticEffects,
    CoverSimulator,
    InstrumentEffects,
    SimulatorConfig,
    TimelineEffects,
    acoustics,
    cover,
    simulator_config,
)
from coverdex.encoder.training.simulator.instruments import (
    draw_part_gains,
    draw_section_gains,
    draw_solos,
    draw_spectra,
    mixing_matrices,
)
from coverdex.encoder.training.simulator.timeline import Source, draw_timeline

STILL = TimelineEffects(
    tempo_spread=0, section_tempo_spread=0, warp_depth=0, drop=0, repeat=0, swap=0, foreign=0,
    late_start=0, loop=0,
)  # fmt: skip
DRY_BAND = InstrumentEffects(
    balance_spread=0, part_drop=0, section_drop=0, pad_share=0, harmonics=0, subharmonics=0,
    detuning=0, transpose=False,
)  # fmt: skip
DEAD_ROOM = AcousticEffects(
    reverberation=(0, 0), noise_floor=(0, 0), flicker=(0, 0), percussion=(0, 0),
    percussion_share=0, lost_frames=(0, 0), compression=(1, 1),
)  # fmt: skip
NOTHING = SimulatorConfig(timeline=STILL, instruments=DRY_BAND, acoustics=DEAD_ROOM, anchor=0)


def make_corpus(n_works: int = 6, n_frames: int = 800) -> RollCorpus:
    rng = np.random.default_rng(0)
    versions = []
    for w in range(n_works):
        for k in range(1 + w % 2):
            notes = rng.random((n_frames // 8, N_PARTS, 12)) < 0.2
            roll = np.repeat(notes, 8, axis=0).astype(np.uint8) * 60
            versions.append(Version(f"w{w}", f"{w}.{k}", "c", roll, cyclic=w == 5))
    return RollCorpus.from_versions(versions)


CORPUS = make_corpus()
SOURCE = Source(first=100, n_frames=800)


def timeline(
    effects: TimelineEffects, n_out: int = 400, seed: int = 0, source: Source = SOURCE
) -> Any:
    others = (np.array([5000]), np.array([300]))
    return draw_timeline(source, n_out, ROLL_RATE, effects, np.random.default_rng(seed), others)


def test_draws_are_those_that_rendered_seeds_were_made_with() -> None:
    """What samplers play has this form: other draws would render other performances."""
    digest = hashlib.sha256()
    others = (np.array([0, 900]), np.array([300, 500]))
    for k in range(40):
        source = Source(2000, 700 + 13 * k, k % 3 == 0, anchor=k / 80, reverse=k % 5 == 0)
        rng = np.random.default_rng(k)
        index, n_valid, section = draw_timeline(source, 640, 8.0, TimelineEffects(), rng, others)
        digest.update(index[:n_valid].tobytes() + section[:n_valid].tobytes())
    assert digest.hexdigest()[:16] == "d42ec85fac49550b"


def test_without_effects_time_runs_straight() -> None:
    index, n_valid, _ = timeline(STILL)
    np.testing.assert_array_equal(index, np.arange(100, 500))
    assert n_valid == 400


def test_a_score_that_ends_ends_the_view() -> None:
    _, n_valid, _ = timeline(STILL, n_out=1000)
    assert n_valid == 800
    looped, n_valid, _ = timeline(replace(STILL, loop=1.0), n_out=1000)
    assert n_valid == 1000
    np.testing.assert_array_equal(looped[800:1000], np.arange(100, 300))


def test_a_cyclic_score_goes_round() -> None:
    index, n_valid, _ = timeline(STILL, n_out=1000, source=replace(SOURCE, cyclic=True))
    assert n_valid == 1000
    np.testing.assert_array_equal(index[800:], np.arange(100, 300))


def test_tempo_changes_the_speed_alone() -> None:
    speeds = []
    for seed in range(30):
        index, n_valid, _ = timeline(replace(STILL, tempo_spread=0.385), seed=seed)
        steps = np.diff(index[:n_valid])
        assert steps.min() >= 0
        speeds.append(steps.mean())
    assert min(speeds) > 0.65
    assert max(speeds) < 1.5
    assert max(speeds) / min(speeds) > 1.5


def test_rubato_stays_near_the_beat() -> None:
    index, _, _ = timeline(replace(STILL, warp_depth=0.5), seed=2)
    shift = index - np.arange(100, 500)
    assert 0 < np.abs(shift).max() <= 0.5 * ROLL_RATE + 1


@pytest.mark.parametrize("effect", ["drop", "repeat", "swap", "foreign", "late_start"])
def test_each_change_of_form_changes_the_order(effect: str) -> None:
    plain = np.arange(100, 500)
    changed = 0
    for seed in range(20):
        index, n_valid, _ = timeline(replace(STILL, **{effect: 0.5}), seed=seed)
        inside = index[:n_valid]
        own = inside[inside < 1000]
        assert ((own >= 100) & (own < 900)).all()
        if effect == "foreign":
            assert own.size > 0  # never all of it
            assert ((inside[inside >= 1000] >= 5000) & (inside[inside >= 1000] < 5300)).all()
        changed += not np.array_equal(inside, plain[:n_valid])
    assert changed >= 5


def test_anchor_and_reversal_are_the_works_own() -> None:
    index, _, _ = timeline(STILL, source=replace(SOURCE, anchor=0.25))
    assert index[0] == 300
    backwards, n_valid, _ = timeline(STILL, source=replace(SOURCE, reverse=True))
    np.testing.assert_array_equal(backwards[:n_valid], np.arange(899, 499, -1))


def test_the_dry_band_sums_its_parts() -> None:
    rng = np.random.default_rng(0)
    spectra = draw_spectra(3, DRY_BAND, rng)
    gains = np.ones((3, N_PARTS), np.float32)
    matrix = mixing_matrices(gains, spectra, np.array([0, 4, 0]), np.array([False, False, True]))
    roll = np.zeros((N_PARTS, 12), np.float32)
    roll[0, 2], roll[3, 7] = 1, 2
    frames = roll.reshape(-1) @ matrix
    for frame, where in zip(frames, [(2, 7), (6, 11), (10, 5)], strict=True):
        expected = np.zeros(12)
        expected[list(where)] = 1, 2
        np.testing.assert_allclose(frame, expected)


def test_harmonics_leak_where_physics_puts_them() -> None:
    """The fifth above gains most, then the third; a band without leakage has none."""
    effects = replace(DRY_BAND, harmonics=0.5)
    spectrum = draw_spectra(500, effects, np.random.default_rng(1)).mean(axis=(0, 1))
    assert spectrum[0] == 1
    assert spectrum[7] > spectrum[4] > spectrum[10] > spectrum[6] == 0
    below = draw_spectra(500, replace(DRY_BAND, subharmonics=0.5), np.random.default_rng(1))
    assert below.mean(axis=(0, 1))[5] > below.mean(axis=(0, 1))[8] > 0
    detuned = draw_spectra(500, replace(DRY_BAND, detuning=0.3), np.random.default_rng(1))
    assert (detuned.mean(axis=(0, 1))[[1, 11]] > 0).all()
    assert detuned.mean(axis=(0, 1))[[2, 6, 10]].sum() == 0


def test_every_view_keeps_some_harmony() -> None:
    gains = draw_part_gains(400, InstrumentEffects(part_drop=0.9), np.random.default_rng(0))
    assert ((gains[:, 2] > 0) | (gains[:, 4] > 0)).all()
    assert (gains == 0).mean() > 0.4
    pauses = draw_section_gains(
        50, 6, InstrumentEffects(section_drop=0.5), np.random.default_rng(0)
    )
    assert set(np.unique(pauses)) == {0.0, 1.0}
    assert (pauses[..., 2] + pauses[..., 4] > 0).all()


def test_a_solo_is_the_melody_alone_from_end_to_end() -> None:
    alone = replace(
        NOTHING, instruments=replace(DRY_BAND, solo=1.0, part_drop=1.0, section_drop=0.9)
    )
    versions = np.arange(CORPUS.n_versions)
    views, _ = CoverSimulator(CORPUS, alone).views(versions, 200, np.random.default_rng(3))
    of_chart = CORPUS.cyclic[versions]
    assert 0 < of_chart.sum() < versions.size
    for view, v in zip(views.numpy(), versions, strict=True):
        first = CORPUS.first[v]
        parts = CORPUS.rolls[first : first + 400].reshape(200, 2, N_PARTS, 12).sum(axis=1)
        melody = parts[:, 0] > 0
        if CORPUS.cyclic[v]:  # its melody is a soloist's, who may be anyone
            assert (view[~melody] > 0).any()
        else:
            np.testing.assert_array_equal(view > 0, melody)


def test_a_version_without_a_melody_has_no_solo() -> None:
    has_melody = np.array([True, False] * 200)
    solo = draw_solos(has_melody, InstrumentEffects(solo=0.5), np.random.default_rng(0))
    assert not solo[~has_melody].any()
    assert 70 < solo.sum() < 130
    rng = np.random.default_rng(0)
    assert not draw_solos(has_melody, InstrumentEffects(), rng).any()
    assert rng.random() == np.random.default_rng(0).random()  # nothing was drawn


def test_reverberation_is_an_exponential_tail() -> None:
    x = torch.zeros((2, 6, 12))
    x[:, 1, 4] = 1
    wet = acoustics.reverberate(x, torch.tensor([0.5, 0.0]))
    np.testing.assert_allclose(wet[0, :, 4], [0, 1, 0.5, 0.25, 0.125, 0.0625])
    np.testing.assert_array_equal(wet[1], x[1])
    long = torch.zeros((1, 12, 12))
    long[0, 0] = 1
    tail = acoustics.reverberate(long, torch.tensor([0.5]))[0, :, 0]
    np.testing.assert_allclose(tail, [*(0.5**k for k in range(8)), 0, 0, 0, 0])
    short = acoustics.reverberate(x[:, :3], torch.tensor([0.5, 0.0]))  # shorter than the tail
    np.testing.assert_allclose(short[0, :, 4], [0, 1, 0.5])


def test_frames_are_normalised_like_hpcp() -> None:
    x = torch.rand((2, 9, 12)) * torch.linspace(0.1, 5, 9)[None, :, None]
    x[0, 3] = 0
    y = acoustics.normalise_frames(x)
    expected = torch.ones(2, 9)
    expected[0, 3] = 0
    np.testing.assert_allclose(y.amax(dim=2), expected, atol=1e-6)


def test_percussion_comes_at_its_pulse() -> None:
    x = torch.zeros((1, 40, 12))
    hit = acoustics.add_percussion(
        x,
        torch.tensor([1.0]),
        torch.tensor([8.0]),
        torch.tensor([0.0]),
        np.random.default_rng(0),
    )
    assert np.flatnonzero(hit[0].sum(dim=1)).tolist() == [0, 8, 16, 24, 32]


@pytest.mark.parametrize("effect", ["floor", "percussion", "lost", "compress"])
def test_strength_zero_leaves_the_input(effect: str) -> None:
    x = torch.rand((2, 20, 12))
    zero, one = torch.zeros(2), torch.ones(2)
    g = np.random.default_rng(0)
    y = {
        "floor": lambda: acoustics.add_noise_floor(x, zero, torch.ones((2, 12)), zero, g),
        "percussion": lambda: acoustics.add_percussion(x, zero, one * 4, zero, g),
        "lost": lambda: acoustics.drop_frames(x, zero, g),
        "compress": lambda: acoustics.compress(x, one),
    }[effect]()
    np.testing.assert_allclose(y, x, atol=1e-6)


def test_noise_and_lost_frames_do_something() -> None:
    x = torch.zeros((1, 30, 12)) + torch.eye(12)[0]
    g = np.random.default_rng(0)
    floor = acoustics.add_noise_floor(
        x, torch.tensor([0.1]), torch.ones((1, 12)), torch.zeros(1), g
    )
    np.testing.assert_allclose(floor - x, 0.1, atol=1e-6)
    lost = acoustics.drop_frames(x, torch.tensor([0.5]), g)
    assert 5 < int((lost[0, :, 0] != 1).sum()) < 25


def test_noise_is_uniform_before_it_is_squared() -> None:
    flicker = torch.ones(3)
    noise = acoustics.add_noise_floor(
        torch.zeros((3, 4000, 12)), torch.zeros(3), torch.ones((3, 12)), flicker,
        np.random.default_rng(0),
    ).sqrt()  # fmt: skip
    assert 0 <= float(noise.min()) < 1e-3
    assert 1 - 1e-3 < float(noise.max()) < 1
    shares = np.histogram(noise, bins=10, range=(0, 1))[0] / noise.numel()
    np.testing.assert_allclose(shares, 0.1, atol=0.005)
    flat = noise.transpose(1, 2).reshape(-1).numpy()  # in the order in which it is drawn
    for lag in (1, 2, 3, 4):
        assert abs(np.corrcoef(flat[:-lag], flat[lag:])[0, 1]) < 0.01


def test_views_do_not_depend_on_how_many_are_made_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dead = replace(DEAD_ROOM, reverberation=(0.1, 1.8))  # nothing is drawn while it is played
    simulator = CoverSimulator(CORPUS, SimulatorConfig(acoustics=dead))
    together, _ = simulator.pairs([0, 1, 2, 3, 5], 60, (1, 7))
    monkeypatch.setattr(cover, "_TOGETHER", 3)
    apart, _ = simulator.pairs([0, 1, 2, 3, 5], 60, (1, 7))
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)


def test_pooling_averages() -> None:
    x = torch.arange(10.0)[None, :, None].expand(1, 10, 12)
    np.testing.assert_allclose(acoustics.pool_frames(x, 4)[0, :, 0], [1.5, 5.5])


def test_with_everything_off_both_covers_are_the_score() -> None:
    simulator = CoverSimulator(CORPUS, NOTHING)
    works = np.array([0, 2, 4])  # works of one version
    views, n_valid = simulator.pairs(works, 50, (0, 0))
    np.testing.assert_allclose(views[:3], views[3:])
    assert (n_valid == 50).all()
    first = CORPUS.rolls[:100].reshape(100, N_PARTS, 12).astype(float)
    energy = first[:, :4].transpose(0, 2, 1) @ [1.2, 0.8, 0.7, 1.0]
    chroma = energy / np.maximum(energy.max(axis=1, keepdims=True), 1e-9)
    np.testing.assert_allclose(views[0], chroma.reshape(50, 2, 12).mean(axis=1), atol=1e-5)


def test_the_simulator_is_seeded() -> None:
    simulator = CoverSimulator(CORPUS)
    one, n_one = simulator.pairs([0, 1, 5], 60, (1, 7))
    again, n_again = simulator.pairs([0, 1, 5], 60, (1, 7))
    other, _ = simulator.pairs([0, 1, 5], 60, (1, 8))
    assert torch.equal(one, again)
    assert torch.equal(n_one, n_again)
    assert not torch.equal(one, other)
    assert not torch.equal(one[:3], one[3:])


def test_views_are_finite_masked_and_in_range() -> None:
    simulator = CoverSimulator(CORPUS)
    views, n_valid = simulator.pairs(list(range(6)), 150, (0, 1))
    assert torch.isfinite(views).all()
    assert float(views.min()) >= 0
    assert float(views.max()) <= 1.0 + 1e-6
    assert ((n_valid >= 1) & (n_valid <= 150)).all()
    for view, n in zip(views, n_valid, strict=True):
        assert float(view[int(n) :].abs().sum()) == 0
        assert float(view[: int(n)].sum()) > 0


def test_a_transposed_cover_is_a_roll() -> None:
    """The same draw with and without transposition differs by a rotation alone."""
    band = replace(DRY_BAND, transpose=True)
    plain, _ = CoverSimulator(CORPUS, NOTHING).pairs([0], 50, (0, 3))
    moved, _ = CoverSimulator(CORPUS, replace(NOTHING, instruments=band)).pairs([0], 50, (0, 3))
    for view in moved:
        assert any(np.allclose(view, plain[0].roll(k, dims=1), atol=1e-5) for k in range(12))


def test_the_rate_must_divide_the_rolls() -> None:
    with pytest.raises(ValueError, match="divide"):
        CoverSimulator(CORPUS, SimulatorConfig(frame_rate=3.0))


def test_settings_come_from_tables() -> None:
    config = simulator_config({"anchor": 0.5, "acoustics": {"compression": [1, 2.0]}})
    assert config == SimulatorConfig(anchor=0.5, acoustics=AcousticEffects(compression=(1.0, 2.0)))
    for bad in (
        {"ancor": 1.0},
        {"timeline": {"drop": "often"}},
        {"timeline": {"drop": -0.1}},
        {"acoustics": {"compression": [2.0, 1.0]}},
        {"instruments": {"transpose": 1}},
        {"timeline": 3},
        {"timeline": {"drop": 1.0}},  # nothing would ever be played
        {"timeline": {"swap": 1.5}},
        {"timeline": {"warp_depth": math.nan}},
        {"acoustics": {"compression": [0.0, 1.5]}},  # zero to the power of zero
        {"acoustics": {"noise_floor": [-0.2, 0.1]}},
        {"acoustics": {"lost_frames": [0.5, 1.2]}},
        {"frame_rate": 5.0},
    ):
        with pytest.raises(ValueError, match=r"has no|give"):
            simulator_config(bad)


def batches(seed: int = 1) -> CoverBatches:
    sampler = WorkSampler(CORPUS.work_ids, CORPUS.corpus_of_work(), seed=seed)
    simulator = CoverSimulator(CORPUS)
    return CoverBatches(
        simulator, sampler, 40, 4, "min-max", 1.0, seed, held_out_simulator=simulator
    )


def test_batches_hold_every_work_twice() -> None:
    batch = batches().batch(3)
    assert batch.x.shape == (8, 40, 12)
    assert torch.equal(batch.work[:4], batch.work[4:])
    assert len(set(batch.work.tolist())) == 4
    again = batches().batch(3)
    assert torch.equal(batch.x, again.x)
    assert not torch.equal(batch.x, batches().batch(4).x)
    assert len(list(batches().held_out())) == 2  # six works, four a batch


def test_tracks_are_scaled_like_recordings() -> None:
    x = torch.rand((2, 10, 12)) + 0.5
    x[0, 6:] = 0
    y = scale_tracks(x, torch.tensor([6, 10]), "min-max")
    assert float(y[0, :6].min()) == 0
    assert float(y[0].max()) == pytest.approx(1)
    assert float(y[0, 6:].abs().sum()) == 0
    np.testing.assert_allclose(
        scale_tracks(x, torch.tensor([6, 10]), "max", 0.5)[1], (x[1] / x[1].max()) ** 0.5
    )


def test_the_simulator_changes_at_its_step() -> None:
    before = batches()
    changed = replace(before, later=(5, CoverSimulator(CORPUS, NOTHING)))
    assert torch.equal(changed.batch(4).x, before.batch(4).x)
    assert torch.equal(changed.batch(5).work, before.batch(5).work)
    assert not torch.equal(changed.batch(5).x, before.batch(5).x)


def test_a_concentrated_batch_draws_on_few_collections() -> None:
    names = [f"{c}_{i}" for c in "abcd" for i in range(200)]
    corpora = [name[0] for name in names]

    def shares(concentration: float) -> np.ndarray:
        sampler = WorkSampler(names, corpora, concentration=concentration, seed=1)
        drawn = [np.array(corpora)[sampler.works(step, 64)] for step in range(50)]
        return np.array([np.sort([np.mean(d == c) for c in "abcd"])[-1] for d in drawn])

    assert shares(1.0).mean() > shares(0.0).mean() + 0.15
    with pytest.raises(ValueError, match="concentration"):
        WorkSampler(names, corpora, concentration=-1.0)


def test_a_concentrated_batch_is_filled_from_small_collections_too() -> None:
    names = [f"{c}_{i}" for c in "abcdefgh" for i in range(8)]
    sampler = WorkSampler(names, [n[0] for n in names], concentration=4.0, seed=1)
    for step in range(20):
        assert np.unique(sampler.works(step, 64)).size == 64


def test_batches_draw_their_length_between_the_two_that_are_given() -> None:
    corpus = make_corpus(8)
    sampler = WorkSampler(corpus.work_ids, corpus.corpus_of_work(), seed=0)
    source = CoverBatches(
        CoverSimulator(corpus), sampler, n_frames=40, shortest=20, works_per_batch=4,
        scaling="min-max", exponent=1.0, seed=3,
    )  # fmt: skip
    lengths = [source.batch(step).x.shape[1] for step in range(40)]
    assert min(lengths) >= 20
    assert max(lengths) <= 40
    assert len(set(lengths)) > 10
    assert source.batch(5).x.shape[1] == lengths[5]


@pytest.mark.parametrize(("same_version", "n_versions"), [(0.0, {2}), (1.0, {1})])
def test_views_are_of_one_version_or_of_two(same_version: float, n_versions: set[int]) -> None:
    simulator = CoverSimulator(CORPUS, SimulatorConfig(same_version=same_version))
    works = np.array([1, 3, 5])  # of two versions each
    chosen, _, _ = simulator.items(works, np.random.default_rng(0))
    assert {len(set(pair)) for pair in chosen.reshape(2, -1).T.tolist()} == n_versions
    assert (CORPUS.work[chosen].reshape(2, -1) == works).all()
