"""Searching the design: short runs that differ from one configuration in one thing each.

What the network and its training should be like (frames per second, depth, width, pooling, batch,
temperature) is not derived but tried. A file says what is tried::

    config = "coverdex-64-simulated.toml"        # from this file's folder
    common = ["run.epochs=6"]                    # changes that all designs share
    validation = [                               # instead of the configuration's, when given
        {name = "jazz", catalogue = "../jazz", unrelated_ids = true, optional = true},
    ]
    [[designs]]
    name = "base"
    [[designs]]
    name = "8 frames per second"
    changes = ["preprocessing.frame_rate=8.0", "architecture.strides=[8, 2, 2, 1, 2]"]

    [[designs]]
    name = "taught"                              # by what an earlier design has come to
    changes = ['distillation={teacher = "{out}/8-frames-per-second/checkpoint"}']

and ``coverdex encoder search DESIGNS.toml`` runs them one after another, each in a folder of its
own, and goes on where it was stopped. All have the same number of steps, and the table shows the
seconds, since a design that is better by taking longer may be no better for the same time. A second
run of the base with another seed shows what chance does: a difference below that is none. Short
runs rank what learns quickly, which need not be what ends best (Li et al. 2018, "Hyperband", JMLR
18, on early stopping and its risk).

The seeds are read once for all (:mod:`.seed_corpora`), or taken from where they lie prepared
(:mod:`.prepared_covers`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, model_validator

from ..errors import TrainingError
from .config import SettingsTable, TrainingConfig, ValidationSets, read_config, read_settings
from .config import read_toml as read_tables
from .prepared_covers import check_fits
from .run_report import StepReport
from .start import checkpoint_at
from .trainer import Trainer
from .world import TrainingWorld

#: Stands for the folder of the search in a change.
_OUT = "{out}"


class Design(SettingsTable):
    """One thing that is tried."""

    name: Annotated[str, Field(min_length=1)]
    changes: list[str] = Field(default_factory=list)
    """As ``--set`` takes them: a dotted key and a TOML value."""

    @property
    def slug(self) -> str:
        """The name as that of a folder."""
        return re.sub(r"[^a-z0-9.]+", "-", self.name.lower()).strip("-.") or "design"


class DesignSearch(SettingsTable):
    """What is tried; see the module's text."""

    config: str
    common: list[str] = Field(default_factory=list)
    validation: ValidationSets | None = None
    designs: Annotated[list[Design], Field(min_length=1)]

    @model_validator(mode="after")
    def _told_apart(self) -> DesignSearch:
        slugs = [design.slug for design in self.designs]
        if twice := sorted({slug for slug in slugs if slugs.count(slug) > 1}):
            raise ValueError(f"two designs would share the folder {twice[0]!r}; name them apart")
        return self


class Tried(NamedTuple):
    """How a design did.

    Parameters
    ----------
    design : Design
    n_parameters : int
    row : mapping
        The last row of the run's history: loss, what held-out works gave, validation, seconds.
    n_steps : int
    """

    design: Design
    n_parameters: int
    row: Mapping[str, Any]
    n_steps: int

    @property
    def maps(self) -> dict[str, float]:
        """MAP on each validation set that was there."""
        return {name: found["map"] for name, found in self.row.get("validation", {}).items()}

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return {
            "name": self.design.name,
            "changes": list(self.design.changes),
            "parameters": self.n_parameters,
            "steps": self.n_steps,
            **{k: self.row[k] for k in ("loss", "cover first", "seconds") if k in self.row},
            **{k: v for k, v in self.row.items() if k.startswith("held-out")},
            "map": self.maps,
        }


def read_search(path: str | Path) -> DesignSearch:
    """Read what is to be tried.

    Raises
    ------
    NotFoundError
        No such file.
    TrainingError
        It is not TOML, or a setting is unknown, missing or out of range.
    """
    return read_settings(DesignSearch, read_tables(path), where=str(path))


def configuration_of(
    search: DesignSearch, design: Design, base: Path, folder: Path
) -> TrainingConfig:
    """Give the configuration of one design; ``{out}`` in its changes is the search's ``folder``.

    Raises
    ------
    TrainingError, NotFoundError
        The configuration is missing, or a change does not fit it.
    """
    origin = (base / search.config).resolve().parent
    out = Path(os.path.relpath(folder.resolve(), origin)).as_posix()
    changes = [change.replace(_OUT, out) for change in (*search.common, *design.changes)]
    config = read_config(base / search.config, changes=changes)
    # What follows the last step is left out: the runs are compared by what training gave.
    updated: dict[str, Any] = {"name": f"{config.name}-{design.slug}", "discriminant": None}
    if search.validation is not None:
        updated["validation"] = search.validation
    return config.model_copy(update=updated)


def search_designs(
    search: DesignSearch,
    folder: str | Path,
    *,
    base: str | Path = ".",
    world: TrainingWorld | None = None,
    prepared: str | Path | None = None,
    only: Collection[str] = (),
    on_step: Callable[[Design, StepReport], None] | None = None,
) -> Iterator[Tried]:
    """Try designs, one after another.

    Parameters
    ----------
    search : DesignSearch
    folder : path-like
        A folder per design is made in it; what was tried there already is not trained again.
    base : path-like, optional
        Folder from which the configuration's path, and the paths in it, count.
    world : TrainingWorld, optional
        For validation.
    prepared : path-like, optional
        A folder that holds the data ready (:mod:`.prepared_covers`), instead of where the
        configuration says that they are read from.
    only : collection of str
        Names of the designs to try; all if empty.
    on_step : callable, optional
        Told after every step.

    Yields
    ------
    Tried
        As each is done. ``tried.json`` in its folder holds the same.

    Raises
    ------
    TrainingError, NotFoundError, CheckpointError
        There is no such design, or a configuration or what was prepared does not fit. All are
        read before the first is trained.
    """
    folder, base = Path(folder), Path(base)
    ready = None if prepared is None else Path(prepared)
    if unknown := sorted(set(only) - {design.name for design in search.designs}):
        raise TrainingError(
            f"there is no design {unknown[0]!r}; there are "
            + ", ".join(repr(design.name) for design in search.designs)
        )
    chosen = [design for design in search.designs if not only or design.name in only]
    configs = [configuration_of(search, design, base, folder) for design in chosen]
    origin = (base / search.config).resolve().parent
    _check_teachers(chosen, configs, folder, origin)
    if ready is not None:
        for config in configs:
            check_fits(config, ready)
    for design, config in zip(chosen, configs, strict=True):
        report = None if on_step is None else _told_of(design, on_step)
        # A trainer ends with its design: it holds the data, and the next one holds them again.
        trainer = Trainer(config, folder / design.slug, base=origin, world=world, prepared=ready)
        tried = _trained(design, trainer, report)
        del trainer
        document = json.dumps(tried.to_dict(), indent=2)
        (folder / design.slug / "tried.json").write_text(document, encoding="utf-8")
        yield tried


def _trained(
    design: Design, trainer: Trainer, on_step: Callable[[StepReport], None] | None
) -> Tried:
    result = trainer.run(on_step=on_step)
    parameters = trainer.record()["n_parameters"]
    return Tried(design, parameters, result.history[-1], trainer.n_steps)


def _check_teachers(
    designs: Sequence[Design], configs: Sequence[TrainingConfig], folder: Path, origin: Path
) -> None:
    """Refuse a teacher that is neither there nor what an earlier design will leave."""
    coming: set[Path] = set()
    for design, config in zip(designs, configs, strict=True):
        if config.distillation is not None:
            teacher = config.distillation.teacher
            if (origin / teacher).resolve() not in coming:
                checkpoint_at(teacher, origin)
        coming.add((folder / design.slug / "checkpoint").resolve())


def _told_of(
    design: Design, on_step: Callable[[Design, StepReport], None]
) -> Callable[[StepReport], None]:
    return lambda report: on_step(design, report)
