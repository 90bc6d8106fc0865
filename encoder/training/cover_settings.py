"""Settings of the batch source ``simulated-covers`` (:mod:`.cover_batches`): the table ``[data]``.

::

    [data]
    source = "simulated-covers"
    seeds = ["../shared/data/seeds/pop909.parquet", "..."]   # tables or folders of MIDI
    leave_out_titles = ["Yesterday"]    # works of the test catalogues
    held_out_corpus = "jazz_charts"     # works with several versions, kept for the curves
    held_out_works = 100
    held_out_seed = 7
    works_per_batch = 64
    seconds = 120.0                     # length of a view
    shortest_seconds = 60.0             # when given, each batch has a length between the two
    concentration = 0.5                 # how unevenly a batch draws on the collections
    [data.weights]                      # how often works of a collection are drawn
    cocopops = 2.0
    [data.arrangements]                 # further versions of each version of a collection, see
    jazz_charts = 2                     # :mod:`.arrangements`
    [data.tunes]                        # dance tunes of :mod:`.corpus_tunes`, as collection "tunes"
    leave_out = "demo/tunes.json"       # list of tunes that are a test's
    corpus = "abc"                      # folder of collections; that of music21 when left out
    works = 2400
    versions = 3
    [data.simulator]                    # see :mod:`.simulator`
    [data.simulator.timeline]
    [data.simulator.instruments]
    [data.simulator.acoustics]
    [data.rendered]                     # performances by samplers, see :mod:`.rendered_versions`
    catalogues = ["runs/rendered-seeds"]
    [data.later]                        # from a step on, other strengths of the simulator
    from_step = 1000
    [data.later.simulator]              # all of them: what is left out has its default
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from ..chroma import MAX_DURATION
from .config import SettingsTable
from .rendered_versions import RenderedSettings

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class LaterSettings(SettingsTable):
    """Strengths of the simulator from a step on."""

    from_step: int = Field(ge=1)
    simulator: dict[str, Any]


class TuneSettings(SettingsTable):
    """Dance tunes among the seeds."""

    leave_out: str
    corpus: str | None = None
    works: int = Field(default=2400, ge=2)
    versions: int = Field(default=3, ge=2)


class CoverSettings(SettingsTable):
    """Settings of the batch source ``simulated-covers``; see the module's text."""

    seeds: list[str]
    works_per_batch: int = Field(default=64, ge=2)
    seconds: float = Field(default=120.0, gt=0, le=MAX_DURATION)
    shortest_seconds: float | None = Field(default=None, gt=0)
    concentration: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    leave_out_titles: list[str] = Field(default_factory=list)
    held_out_corpus: str | None = None
    held_out_works: int = Field(default=0, ge=0)
    held_out_seed: int = Field(default=7, ge=0)
    weights: dict[str, Weight] = Field(default_factory=dict)
    arrangements: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    tunes: TuneSettings | None = None
    simulator: dict[str, Any] = Field(default_factory=dict)
    later: LaterSettings | None = None
    rendered: RenderedSettings | None = None

    @model_validator(mode="after")
    def _held_out_of_a_collection(self) -> CoverSettings:
        if self.held_out_works and self.held_out_corpus is None:
            raise ValueError(
                f"held_out_works is {self.held_out_works}, but of no collection; give "
                "held_out_corpus, or 0"
            )
        return self
