"""What simulated covers are drawn from: seeds that have been read, and what samplers have played.

A run with the source ``simulated-covers`` (:mod:`.cover_batches`) reads tables of symbolic music,
draws arrangements and dance tunes, and takes from rendered catalogues what the network reads of
them. That takes minutes and needs the seeds. The same materials can come from a folder instead
which holds them ready (:mod:`.prepared_covers`): for several runs on the same data, and for
machines that have a GPU and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from . import provenance
from .batch import SourceContext
from .cover_settings import CoverSettings
from .rendered_versions import RenderedTracks, prepare_catalogues
from .seed_corpora import SeedCorpora, read_corpora
from .seed_titles import titles_in_tables


@dataclass(frozen=True, eq=False)
class CoverMaterials:
    """What simulated covers are drawn from.

    Parameters
    ----------
    corpora : SeedCorpora
        Works to train on, and held-out ones.
    titles : mapping of str to str
        Version id to title, where a table has one.
    hashes : mapping of str to str
        SHA-256 of each file or folder of seeds, by its name.
    rendered : sequence of RenderedTracks
        One for each catalogue of ``[data.rendered]``.
    """

    corpora: SeedCorpora
    titles: Mapping[str, str]
    hashes: Mapping[str, str]
    rendered: Sequence[RenderedTracks] = field(default=())


def cover_materials(settings: CoverSettings, context: SourceContext) -> CoverMaterials:
    """Read the seeds and the rendered catalogues, or take them from where they lie prepared.

    Raises
    ------
    TrainingError
        They hold too little or something that cannot be read, or what was prepared is damaged or
        of other settings.
    NotFoundError
        No such seeds, catalogue or folder.
    """
    if context.prepared is not None:
        from .prepared_covers import decisive_settings, read_prepared

        wanted = decisive_settings(settings, context.preprocessing, context.kind)
        return read_prepared(context.prepared, wanted)
    paths = [context.path(seed) for seed in settings.seeds]
    corpora = read_corpora(settings, context)
    return CoverMaterials(
        corpora,
        titles_in_tables(paths),
        {path.name: provenance.sha256_of(path) for path in paths},
        prepare_catalogues(settings.rendered.catalogues, context) if settings.rendered else (),
    )
