"""Checkpoints that another checkpoint is made from: reading them, and what it remembers of them.

What is made of several checkpoints, their mean (:mod:`.soup`) or an ensemble (:mod:`.joining`), has
seen what any of them has seen: its training list joins theirs, and is not complete where one has
none. Its record names each by its content-derived id, with that one's own record.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..checkpoint import Checkpoint
from ..encoder import Encoder
from ..errors import TrainingError
from ..training_list import TrainingList
from . import provenance
from .config import SettingsTable, ValidationConfig
from .start import checkpoint_at
from .validation import load_validation_set
from .world import TrainingWorld


def load_ingredients(
    names: Sequence[str], base: Path, *, alike: Sequence[str], why: str
) -> list[Checkpoint]:
    """Load checkpoints that must agree in some things.

    Parameters
    ----------
    names : sequence of str
        Folders, or names of shipped ones.
    base : Path
        From which relative folders count.
    alike : sequence of str
        Attributes of :class:`Checkpoint` that must be equal.
    why : str
        What the message says where they are not.

    Raises
    ------
    TrainingError
        Two of them differ.
    CheckpointError, NotFoundError
        There is none, or it is damaged.
    """
    first, *others = [checkpoint_at(each, base) for each in names]
    for other in others:
        for what in alike:
            if getattr(first, what) != getattr(other, what):
                raise TrainingError(f"{first.id} and {other.id} differ in {what}; {why}")
    return [first, *others]


def joined_list(ingredients: Sequence[Checkpoint]) -> TrainingList | None:
    """Join what the ingredients have seen, as far as it is known; None if nothing is."""
    known = [each.training_list for each in ingredients if each.training_list is not None]
    if not known:
        return None
    return TrainingList.of(
        (performance for one in known for performance in one.performances),
        complete=len(known) == len(ingredients) and all(one.complete for one in known),
    )


def data_of(ingredients: Sequence[Checkpoint]) -> dict[str, Any]:
    """Say what the ingredients learnt from: once what holds for all, the rest by name."""
    tables = [dict(each.training.get("data", {})) for each in ingredients]
    shared = {
        what: value
        for what, value in tables[0].items()
        if all(what in table and table[what] == value for table in tables[1:])
    }
    own = {
        f"{each.name}: {what}": value
        for each, table in zip(ingredients, tables, strict=True)
        for what, value in table.items()
        if what not in shared
    }
    return {**shared, **own}


def record_of(
    made: Checkpoint,
    ingredients: Sequence[Checkpoint],
    settings: SettingsTable,
    sets: Sequence[ValidationConfig],
    base: Path,
    world: TrainingWorld | None,
) -> dict[str, Any]:
    """Give what the checkpoint keeps of its making, but for what was done with its ingredients.

    Raises
    ------
    TrainingError, NotFoundError
        As :func:`validated`.
    """
    return {
        "config": settings.model_dump(mode="json", exclude={"card"}, exclude_none=True),
        "data": data_of(ingredients),
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "n_parameters": Encoder(made).n_parameters,
        "result": {"validation": validated(made, sets, base, world)},
    }


def validated(
    made: Checkpoint, sets: Sequence[ValidationConfig], base: Path, world: TrainingWorld | None
) -> dict[str, Any]:
    """Measure what was made; optional sets that are missing are left out.

    Raises
    ------
    TrainingError
        A validation set cannot be ranked, or a work of it is trained on.
    NotFoundError
        There is no such set.
    """
    encoder = Encoder(made)
    trained = {p.work_id for p in made.training_list.performances} if made.training_list else ()
    loaded = [load_validation_set(each, encoder, world, base, trained) for each in sets]
    return {each.name: each.evaluate(encoder, world) for each in loaded if each and world}
