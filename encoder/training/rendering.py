"""Seeds as sound: notes played by samplers and analysed as recordings are.

The measure of a simulator is what the real extractor hears. Here notes become MIDI with General
MIDI instruments drawn at random (and drums, in most cases), fluidsynth plays them with a soundfont,
and essentia takes HPCP with the parameters of Da-TACOS (:mod:`coverdex.encoder.chroma`), of every
fourth frame to save time. Needs the extra ``demo-render`` and fluidsynth; training does not.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..chroma import DATACOS_HOP_LENGTH, DATACOS_SAMPLE_RATE, Chroma
from ..errors import NotFoundError, TrainingError
from .corpus import BASS, CHORDS, INNER, MELODY, Notes
from .singing import bend_of_voice, draw_singing_voice

#: Every so many frames of Da-TACOS one is analysed: 21.5 frames per second.
EVERY_FRAME = 4

#: General MIDI programs (from 0) that may play each part.
PROGRAMS = {
    MELODY: (0, 4, 11, 22, 24, 26, 40, 52, 53, 54, 56, 65, 66, 68, 71, 73, 80, 81, 85),
    INNER: (0, 4, 11, 22, 24, 26, 40, 48, 52, 65, 71, 73, 80, 89),
    CHORDS: (0, 1, 4, 5, 16, 18, 24, 25, 26, 27, 29, 30, 48, 50, 52, 61, 88, 89),
    BASS: (32, 33, 34, 35, 36, 38, 43),
}
#: Those that may play a melody which is bent as a voice bends it.
SUNG_PROGRAMS = (22, 40, 52, 53, 54, 65, 66, 68, 71, 73, 80, 81, 85)
#: Share of the bands that have drums.
DRUMS = 0.7
_DRUM_CHANNEL = 9
#: Seconds of silence between performances that are played in one go.
_PAUSE = 2.0
_KICK, _SNARE, _HAT = 36, 38, 42


def render(
    notes: Notes, soundfont: Path, rng: np.random.Generator, *, seconds: float = 60.0
) -> Chroma:
    """Play the first part of some notes and analyse it.

    Parameters
    ----------
    notes : Notes
    soundfont : Path
        An SF2 file with the General MIDI instruments.
    rng : numpy.random.Generator
        Draws instruments, their levels, tempo (0.78 to 1.28), transposition (-5 to 6) and drums.
    seconds : float
        Length.

    Returns
    -------
    Chroma
        HPCP at 21.5 frames per second.
    """
    with tempfile.TemporaryDirectory() as folder:
        midi, sound = Path(folder) / "seed.mid", Path(folder) / "seed.wav"
        write_midi(notes, midi, rng, seconds=seconds)
        _play(midi, sound, soundfont, DATACOS_SAMPLE_RATE)
        return analyse(_load(sound, DATACOS_SAMPLE_RATE), DATACOS_SAMPLE_RATE)


def render_together(
    performances: Sequence[tuple[Notes, np.random.Generator]],
    soundfont: Path,
    *,
    seconds: float = 60.0,
    room: bool = True,
    detuning: float = 0.0,
    drums: float = DRUMS,
    singing: float = 0.0,
) -> list[Chroma]:
    """Play and analyse several performances in one go, at half the sample rate.

    Loading a soundfont takes longer than playing a minute with it, and nothing that HPCP looks at
    (up to 3,500 Hz) needs more than 22,050 Hz; windows and hops are as long in seconds as
    :func:`render` has them. A performance costs about a third of one that is rendered alone.

    Parameters
    ----------
    performances : sequence of (Notes, numpy.random.Generator)
        Each generator draws its band, as in :func:`render`.
    soundfont : Path
        They share it.
    seconds : float
        Length of each.
    room : bool
        Whether fluidsynth adds reverberation and chorus.
    detuning : float
        Greatest distance in semitones of a performance's tuning from 440 Hz; half of them are in
        tune.
    drums : float
        Share of the performances that have drums.
    singing : float
        Share of the performances whose melody is bent as a voice bends it (:mod:`.singing`).

    Returns
    -------
    list of Chroma
        HPCP at 21.5 frames per second.
    """
    slot = round(1000 * (seconds + _PAUSE))
    events: list[tuple[int, Any]] = []
    for number, (notes, rng) in enumerate(performances):
        bend = float(rng.uniform(-detuning, detuning)) if detuning and rng.random() < 0.5 else 0.0
        events += _silenced(number * slot, bend)
        band = band_events(notes, rng, seconds=seconds, drums=drums, singing=singing, tuning=bend)
        events += [(number * slot + 1 + at, message) for at, message in band]
    with tempfile.TemporaryDirectory() as folder:
        midi, sound = Path(folder) / "seeds.mid", Path(folder) / "seeds.wav"
        _save(events, midi)
        rate, effects = DATACOS_SAMPLE_RATE // 2, str(int(room))
        _play(midi, sound, soundfont, rate, ["-R", effects, "-C", effects])
        audio = _load(sound, rate)
    length = round((seconds + 0.5 * _PAUSE) * rate)
    starts = [round(number * slot / 1000 * rate) for number in range(len(performances))]
    return [analyse(audio[start : start + length], rate) for start in starts]


def _silenced(at: int, bend: float) -> Iterator[tuple[int, Any]]:
    """Stop what still sounds and set the tuning, in semitones, of all parts but the drums."""
    import mido

    for channel in range(16):
        yield at, mido.Message("control_change", channel=channel, control=120, value=0)
        if channel != _DRUM_CHANNEL:
            yield at, _wheel(channel, bend)


def _wheel(channel: int, semitones: float) -> Any:
    """Turn a channel's pitch wheel, whose range is two semitones to either side."""
    import mido

    pitch = round(float(np.clip(semitones / 2, -1, 1)) * 8191)
    return mido.Message("pitchwheel", channel=channel, pitch=pitch)


def write_midi(notes: Notes, path: Path, rng: np.random.Generator, *, seconds: float) -> None:
    """Write notes as a MIDI file of a randomly drawn band; one tick is one millisecond."""
    _save(band_events(notes, rng, seconds=seconds), path)


def band_events(
    notes: Notes,
    rng: np.random.Generator,
    *,
    seconds: float,
    drums: float = DRUMS,
    singing: float = 0.0,
    tuning: float = 0.0,
) -> list[tuple[int, Any]]:
    """Give what a randomly drawn band plays: MIDI messages with their times in milliseconds.

    ``tuning``, in semitones, is that of all other parts; a melody that is sung keeps to it.
    """
    import mido

    sung = singing > 0 and rng.random() < singing
    tempo = float(np.exp(rng.uniform(-0.25, 0.25)))
    shift = int(rng.integers(-5, 7))
    events: list[tuple[int, Any]] = []
    for part, programs in {**PROGRAMS, **({MELODY: SUNG_PROGRAMS} if sung else {})}.items():
        program, level = int(rng.choice(programs)), int(rng.integers(60, 127))
        events.append((0, mido.Message("program_change", channel=part, program=program)))
        events.append((0, mido.Message("control_change", channel=part, control=7, value=level)))
    start = 1 + (notes.onset - notes.onset.min()) / tempo * 1000
    length = np.maximum(60, notes.duration / tempo * 1000)
    for i in np.flatnonzero(start < seconds * 1000):
        pitch = int(notes.pitch[i]) + shift
        if 0 <= pitch < 128:
            what = {"channel": int(notes.part[i]), "note": pitch}
            loud = int(np.clip(notes.loudness[i], 1, 127))
            events.append((int(start[i]), mido.Message("note_on", velocity=loud, **what)))
            events.append((int(start[i] + length[i]), mido.Message("note_off", **what)))
    if sung:
        melody = np.flatnonzero((notes.part == MELODY) & (start < seconds * 1000))
        melody = melody[np.argsort(start[melody], kind="stable")]
        stop = start[melody] + length[melody]
        voice = draw_singing_voice(rng)
        for at, bend in zip(
            *bend_of_voice(start[melody], stop, notes.pitch[melody], voice, rng), strict=True
        ):
            events.append((int(at), _wheel(MELODY, tuning + float(bend))))
    if rng.random() < drums:
        events.extend(_drum_strokes(rng, seconds))
    return events


def _save(events: Iterable[tuple[int, Any]], path: Path) -> None:
    import mido

    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=500_000)])
    now = 0
    for at, message in sorted(events, key=lambda event: event[0]):
        track.append(message.copy(time=at - now))
        now = at
    mido.MidiFile(tracks=[track], ticks_per_beat=500).save(str(path))


def _drum_strokes(rng: np.random.Generator, seconds: float) -> Iterator[tuple[int, Any]]:
    import mido

    beat = rng.uniform(0.4, 0.7)
    for k, at in enumerate(np.arange(0, seconds, beat / 2)):
        hit = {0: (_KICK, _HAT), 2: (_SNARE, _HAT)}.get(k % 4, (_HAT,))
        for note in hit:
            loud = int(rng.integers(60, 120))
            what = {"channel": _DRUM_CHANNEL, "note": note}
            yield 1 + int(at * 1000), mido.Message("note_on", velocity=loud, **what)
            yield 101 + int(at * 1000), mido.Message("note_off", **what)


def check_soundfonts(soundfonts: Iterable[Path]) -> None:
    """Refuse files that are no soundfonts: fluidsynth would play its default one without a word.

    Raises
    ------
    NotFoundError
        There is no such file.
    TrainingError
        It is something else.
    """
    for path in soundfonts:
        if not path.is_file():
            raise NotFoundError(f"no soundfont at {path}; give the path of an SF2 file")
        with path.open("rb") as stream:
            head = stream.read(12)
        if (head[:4], head[8:]) != (b"RIFF", b"sfbk"):
            raise TrainingError(f"{path} is no soundfont; give the path of an SF2 file")


def _play(
    midi: Path, sound: Path, soundfont: Path, sample_rate: int, options: Sequence[str] = ()
) -> None:
    check_soundfonts([soundfont])
    command = ["fluidsynth", "-ni", "-q", "-g", "0.6", "-r", str(sample_rate), *options]
    command += ["-F", str(sound), str(soundfont), str(midi)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        raise NotFoundError("fluidsynth is not installed; it plays the notes") from None


def _load(sound: Path, sample_rate: int) -> NDArray[np.float32]:
    from essentia import standard as es

    audio: NDArray[np.float32] = es.MonoLoader(filename=str(sound), sampleRate=sample_rate)()
    return audio


def analyse(audio: NDArray[np.float32], sample_rate: int) -> Chroma:
    """Take HPCP with the parameters of Da-TACOS, of every fourth frame.

    Parameters
    ----------
    audio : ndarray, shape (n_samples,), float32
    sample_rate : int
        In Hz, 44,100 or half of that; windows and hops keep their length in seconds.
    """
    from essentia import standard as es

    share = DATACOS_SAMPLE_RATE // sample_rate
    bounds = {"minFrequency": 100, "maxFrequency": 3500, "sampleRate": sample_rate}
    window, spectrum = es.Windowing(type="blackmanharris62"), es.Spectrum()
    peaks = es.SpectralPeaks(maxPeaks=100, orderBy="magnitude", magnitudeThreshold=0, **bounds)
    whitening = es.SpectralWhitening(maxFrequency=3500, sampleRate=sample_rate)
    hpcp = es.HPCP(size=12, harmonics=8, bandPreset=False, normalized="unitMax", **bounds)
    hop = DATACOS_HOP_LENGTH * EVERY_FRAME // share
    frames: list[NDArray[np.float32]] = []
    for frame in es.FrameGenerator(audio, frameSize=4096 // share, hopSize=hop):
        magnitudes = spectrum(window(frame))
        frequency, magnitude = peaks(magnitudes)
        frames.append(hpcp(frequency, whitening(magnitudes, frequency, magnitude)))
    return Chroma(np.array(frames), sample_rate / hop)
