"""Works that a band has played: rendered performances in place of some simulated covers.

The table ``[data.rendered]`` of the source ``simulated-covers`` (:mod:`.cover_batches`) names
catalogues of the same works as samplers played them (:mod:`.rendered_seeds`,
:mod:`.rendered_charts`)::

    [data.rendered]
    catalogues = ["runs/rendered-seeds", "runs/rendered-training"]
    share = 0.6        # of the views that are rendered performances, where the work has any
    tempo = 1.25       # largest factor by which one is played faster or slower
    noise = 0.03       # largest deviation of the noise that is added
    transpose = true   # move each by any number of semitones; false when left out
    from_step = 400    # simulated covers alone before; 0 when left out
    [data.rendered.channel]    # what makes them like recordings, see :mod:`.channel`
    floor = 0.3

Each view of an item is then a simulated cover or a rendered performance, whichever is drawn. So a
rendered performance is pulled towards a simulated cover of its work and towards another rendered
one, and pushed away from both kinds of other works: what tells the kinds apart is of no use, and
batch normalisation sees both in every batch. Two rendered views of an item are two performances.
Views are excerpts as recordings have them (:mod:`.recording_views`). Each performance is in a key
of its own. That is enough for an equivariant network; another one needs ``transpose``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..errors import TrainingError
from . import provenance
from .batch import SourceContext
from .channel import ChannelEffects
from .config import SettingsTable
from .prepared_tracks import PreparedTracks, prepare_tracks
from .recording_views import Frames, RecordingViews
from .validation import locate

#: Rendered views are between this share of a batch's length and all of it.
_SHORTEST = 0.6


class RenderedSettings(SettingsTable):
    """Settings of the rendered performances; see the module's text."""

    catalogues: Annotated[list[str], Field(min_length=1)]
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    tempo: Annotated[float, Field(ge=1, le=2)] = 1.25
    noise: Annotated[float, Field(ge=0, le=1)] = 0.03
    transpose: bool = False
    from_step: Annotated[int, Field(ge=0)] = 0
    channel: ChannelEffects = ChannelEffects()


@dataclass(frozen=True, eq=False)
class RenderedVersions:
    """Rendered performances of the works of a corpus.

    Parameters
    ----------
    catalogues : sequence of PreparedTracks
    catalogue, row : numpy.ndarray, shape (n_tracks,), int64
        Which catalogue each track is of, and which of its tracks it is.
    of_work : mapping of int to numpy.ndarray of int64
        The tracks of each work of the corpus that has any.
    settings : RenderedSettings
        How they are drawn; the channel is for whoever draws a batch (:mod:`.cover_batches`).
    origin : mapping
        Where they came from, for the record.
    """

    catalogues: Sequence[PreparedTracks]
    catalogue: NDArray[np.int64]
    row: NDArray[np.int64]
    of_work: Mapping[int, NDArray[np.int64]]
    settings: RenderedSettings
    origin: Mapping[str, Any] = field(default_factory=dict)

    def choose(
        self, works: NDArray[np.int64], rng: np.random.Generator, *, barred: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Draw which views of a batch are rendered performances.

        Parameters
        ----------
        works : ndarray, shape (n,), int64
            Works of the batch.
        rng : numpy.random.Generator
        barred : ndarray, shape (n,), bool
            Works whose both views must be simulated.

        Returns
        -------
        ndarray, shape (2 * n,), int64
            The track of each view, -1 where it is simulated; first views of all works, then second
            ones.
        """
        rendered = rng.random((2, works.size)) < self.settings.share
        chosen = np.full((2, works.size), -1, dtype=np.int64)
        for i, work in enumerate(works.tolist()):
            tracks = self.of_work.get(work)
            if tracks is None or barred[i]:
                continue
            # A second view of a work that was played once only is simulated.
            for view, track in zip(
                np.flatnonzero(rendered[:, i]), rng.permutation(tracks), strict=False
            ):
                chosen[view, i] = track
        return chosen.reshape(-1)

    def view(self, track: int, n_frames: int, rng: np.random.Generator) -> Frames:
        """Draw a view of a track, of ``n_frames`` at most: ``(n, 12)`` float32, scaled."""
        shortest = max(1, round(_SHORTEST * n_frames))
        views = RecordingViews(shortest, n_frames, self.settings.tempo, self.settings.noise)
        catalogue = self.catalogues[int(self.catalogue[track])]
        # Another tempo may round a view up to a frame more.
        values = views.draw(catalogue, int(self.row[track]), rng)[:n_frames]
        if self.settings.transpose:
            values = np.roll(values, int(rng.integers(12)), axis=1)
        return values


@dataclass(frozen=True, eq=False)
class RenderedTracks:
    """What the network reads of one rendered catalogue.

    Parameters
    ----------
    tracks : PreparedTracks
        Titles are the ids of works of the seeds.
    origin : mapping
        ``catalogue``, as the settings name it, and what tells its content, for the record.
    """

    tracks: PreparedTracks
    origin: Mapping[str, Any]


def prepare_catalogues(
    catalogues: Sequence[str], context: SourceContext
) -> tuple[RenderedTracks, ...]:
    """Preprocess rendered catalogues into the run's folder, or take what is there already.

    Raises
    ------
    TrainingError
        There is no world to open catalogues, or one of them holds nothing to train on.
    NotFoundError
        No such catalogue.
    """
    if context.world is None:
        raise TrainingError("[data.rendered] needs a world to open catalogues; hand one down")
    prepared = []
    for name in catalogues:
        location = locate(name, context.base)
        catalogue = context.world.open_catalogue(location, kind=context.kind)
        origin = {"catalogue": name, **provenance.hash_of(catalogue)}
        # Named by what is in it: several sources of one run may have catalogues of their own.
        content = hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()
        folder = context.folder / "rendered" / content[:16]
        tracks = prepare_tracks(catalogue, folder, context.preprocessing, origin=origin)
        prepared.append(RenderedTracks(tracks, origin))
    return tuple(prepared)


def rendered_versions(
    settings: RenderedSettings, work_ids: Sequence[str], rendered: Sequence[RenderedTracks]
) -> RenderedVersions:
    """Find the works of the seeds in what was rendered.

    Parameters
    ----------
    settings : RenderedSettings
    work_ids : sequence of str
        The works of the corpus. Performances of other works are left out.
    rendered : sequence of RenderedTracks

    Raises
    ------
    TrainingError
        One of the catalogues has none of the works.
    """
    number = {work_id: i for i, work_id in enumerate(work_ids)}
    prepared: list[PreparedTracks] = []
    origins: dict[str, Any] = {}
    found: list[tuple[int, int, int]] = []
    for each in rendered:
        tracks, name = each.tracks, str(each.origin["catalogue"])
        rows = [
            (number[title], len(prepared), row)
            for row, title in enumerate(tracks.titles)
            if title in number
        ]
        if not rows:
            raise TrainingError(
                f"[data.rendered] none of the {len(tracks)} performances of {name} is of a work "
                "of the seeds; render them from the same seeds (see rendered_seeds)"
            )
        found += rows
        prepared.append(tracks)
        origins[name] = {**each.origin, "performances": len(rows)}
    works, catalogues, rows_of = np.array(found, dtype=np.int64).T
    return RenderedVersions(
        prepared,
        catalogues,
        rows_of,
        {int(work): np.flatnonzero(works == work) for work in np.unique(works)},
        settings,
        {**origins, "works": int(np.unique(works).size)},
    )
