"""What the players of a performance share: notes that sound, and the plan that they follow.

Time is in seconds from here on, pitch in MIDI note numbers as they sound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from .arrangement import Arrangement
from .harmony import Chord
from .notation import Bar, Tune
from .tunes import Setting


@dataclass(frozen=True)
class Sound:
    """A note that sounds.

    Parameters
    ----------
    player : str
        ``"lead"``, ``"doubling"``, ``"chords"``, ``"bass"``, ``"drone"`` or ``"drums"``.
    onset, duration : float
        In seconds.
    pitch : int
        MIDI note number.
    velocity : int
        1 to 127.
    """

    player: str
    onset: float
    duration: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Stage:
    """What every player needs to know.

    Parameters
    ----------
    setting, tune, arrangement
        What is played and how.
    plays : list of tuple of Bar
        The bars of each playing of a strain, in order.
    chords : list of Chord
        In the printed key, from the first bar to the last.
    seconds : callable
        From quarter notes since the first bar to seconds.
    length : Fraction
        Of the whole, in quarter notes.
    """

    setting: Setting
    tune: Tune
    arrangement: Arrangement
    plays: list[tuple[Bar, ...]]
    chords: list[Chord]
    seconds: Callable[[Fraction], float]
    length: Fraction

    @property
    def key_shift(self) -> int:
        """Semitones from the printed key to the sounding one."""
        return self.arrangement.tonic - self.setting.tonic
