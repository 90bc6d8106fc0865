"""Model soups: the mean of the weights of several checkpoints.

Runs that go on from the same weights with other data, rates or lengths often end in one valley of
the loss, in which the mean of their weights lies lower than any of them and generalises better: the
strengths of both for the price of one network (Wortsman et al. 2022, "Model soups: averaging
weights of multiple fine-tuned models improves accuracy without increasing inference time", ICML).
Runs from different beginnings do not: the mean of unrelated weights is worthless.

::

    coverdex encoder average MEAN.toml

reads::

    name = "coverdex-64"
    checkpoints = ["runs/one/checkpoint", "runs/other/checkpoint"]  # from here, or names
    shares = [0.5, 0.5]                                # equal ones when left out
    [[validation]]                                     # as in a training configuration
    [card]                                             # likewise

and writes a checkpoint with a card and a training list, which joins those of its ingredients.
Statistics of batch normalisation are averaged like the weights; counters are the last one's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ..checkpoint import Checkpoint
from .config import CardConfig, SettingsTable, ValidationSets, read_settings, read_toml
from .ingredients import joined_list, load_ingredients, record_of
from .model_card import model_card
from .world import TrainingWorld


class SoupConfig(SettingsTable):
    """What is averaged; see the module's text."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    checkpoints: Annotated[list[str], Field(min_length=2)]
    shares: list[Annotated[float, Field(gt=0)]] | None = None
    validation: ValidationSets = Field(default_factory=list)
    card: CardConfig = CardConfig()

    @model_validator(mode="after")
    def _one_share_each(self) -> SoupConfig:
        shares = self.shares
        if shares is not None and (
            len(shares) != len(self.checkpoints) or abs(sum(shares) - 1) > 1e-6
        ):
            raise ValueError(
                f"{shares} are no shares of {len(self.checkpoints)} checkpoints; give one number "
                "for each, with the sum 1"
            )
        return self


def read_soup(path: str | Path) -> SoupConfig:
    """Read what is to be averaged.

    Raises
    ------
    NotFoundError
        No such file.
    TrainingError
        It is not TOML, or a setting is unknown, missing or out of range.
    """
    return read_settings(SoupConfig, read_toml(path), where=str(path))


def make_soup(
    config: SoupConfig, *, base: str | Path = ".", world: TrainingWorld | None = None
) -> Checkpoint:
    """Average checkpoints and measure the result.

    Parameters
    ----------
    config : SoupConfig
    base : path-like, optional
        Folder from which relative paths of the configuration count.
    world : TrainingWorld, optional
        For validation.

    Raises
    ------
    TrainingError
        The checkpoints have different architectures, preprocessing or kinds, or a validation set
        cannot be ranked.
    CheckpointError, NotFoundError
        No checkpoint, or no validation set.
    """
    base = Path(base)
    ingredients = load_ingredients(
        config.checkpoints,
        base,
        alike=("architecture", "preprocessing", "kind"),
        why="only runs that went on from the same weights can be averaged",
    )
    shares = config.shares or [1 / len(ingredients)] * len(ingredients)
    first = ingredients[0]
    made = Checkpoint(
        name=config.name,
        architecture=first.architecture,
        preprocessing=first.preprocessing,
        weights=average([each.weights for each in ingredients], shares),
        kind=first.kind,
        training_list=joined_list(ingredients),
    )
    record = {
        **record_of(made, ingredients, config, config.validation, base, world),
        "ingredients": [
            {"id": each.id, "share": share, "training": dict(each.training)}
            for each, share in zip(ingredients, shares, strict=True)
        ],
    }
    return replace(made, training=record, card=model_card(config.name, config.card, record))


def average(weights: Sequence[Mapping[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    """Average states of one network.

    Parameters
    ----------
    weights : sequence of mapping of str to Tensor
        With the same names and shapes.
    shares : sequence of float
        Of each, with the sum 1.

    Returns
    -------
    dict of str to Tensor
        Sums in float64, of the type that they came in; what is not a fraction is the last one's.
    """
    averaged = {}
    for name, last in weights[-1].items():
        if last.is_floating_point():
            parts = [
                share * each[name].double() for share, each in zip(shares, weights, strict=True)
            ]
            averaged[name] = torch.stack(parts).sum(dim=0).to(last.dtype)
        else:
            averaged[name] = last.clone()
    return averaged
