"""Going on with a run that was stopped: whether it is still the same one.

A state holds weights, optimizer and step; what else decides a run, its batches and the checkpoints
that it was given, is made or read anew. The configuration's digest says that the settings are the
same. It does not say that the data are, that this version of Coverdex draws from them what the
earlier one drew, or that the same weights lie at the same path. So a state also keeps the ids of
the checkpoints and an outline of its last batch, and both are compared before a run goes on. One
that is finished asks for no batch; its card and its training list are written anew, from data that
must be described as those were that it learnt from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import TrainingError
from .batch import Batch, BatchSource

#: Largest difference of the mean of a pitch class between the same batch made on two machines.
_ROUNDING = 1e-3


def outline(batch: Batch) -> dict[str, Tensor]:
    """Give what a batch is known again by: works, lengths, and the mean of each track.

    A run keeps the outline of its last batch, so that it is not continued with batches of another
    kind: made by another version, or from other data.
    """
    return {
        "work": batch.work.cpu(),
        "n_valid": batch.n_valid.cpu(),
        "mean": batch.x.float().mean(dim=1).cpu(),
    }


def described(source: BatchSource) -> dict[str, Any]:
    """Give what a source says of its data as values that a state and a JSON file can hold."""
    plain: dict[str, Any] = json.loads(json.dumps(source.describe()))
    return plain


def has_outline(batch: Batch, outlined: Mapping[str, Tensor]) -> bool:
    """Whether a batch is the one whose outline is given, but for rounding."""
    own = outline(batch)
    return (
        torch.equal(own["work"], outlined["work"])
        and torch.equal(own["n_valid"], outlined["n_valid"])
        and own["mean"].shape == outlined["mean"].shape
        and bool(torch.isclose(own["mean"], outlined["mean"], rtol=0, atol=_ROUNDING).all())
    )


def check_goes_on(
    state: Mapping[str, Any],
    *,
    given: Mapping[str, str],
    source: BatchSource,
    n_steps: int,
    run: Path,
) -> dict[str, str]:
    """Refuse to go on with what would be another run.

    Parameters
    ----------
    state : mapping
        What the run had saved; states of earlier versions lack what is compared, and pass.
    given : mapping of str to str
        Ids of the checkpoints that lie there now, ``start_from`` and ``teacher``.
    source : BatchSource
        Makes the last batch again.
    n_steps : int
        Steps of the whole run; a finished one asks for no more batches.
    run : pathlib.Path
        Its folder, for the message.

    Returns
    -------
    dict of str to str
        Ids of the checkpoints that the run began with.

    Raises
    ------
    TrainingError
        Another checkpoint lies there, or the last batch would come out otherwise, or the run is
        finished and learnt from other data.
    """
    began_with: dict[str, str] = dict(state.get("checkpoints", given))
    # Preprocessing, training list and record of the run are from what it began with.
    for key, what in (("teacher", "with the teacher"), ("start_from", "from")):
        if began_with.get(key) != given.get(key):
            raise TrainingError(
                f"the run began {what} {began_with.get(key)}, but {given.get(key)} lies there now; "
                "put the first one back, or start afresh (--fresh)"
            )
    last = state.get("batch")
    if (
        last is not None
        and state["step"] < n_steps
        and not has_outline(source.batch(state["step"] - 1), last)
    ):
        raise TrainingError(
            f"step {state['step']} of the run in {run} had another batch than it would have now: "
            "it was begun with other data or by another version of Coverdex; put those back, or "
            "start afresh (--fresh)"
        )
    if state["step"] >= n_steps and (differing := _differing(state.get("data", {}), source)):
        raise TrainingError(
            f"the run in {run} is finished and learnt from other data ({', '.join(differing)}) "
            "than are there now; put those back, give another folder, or start afresh (--fresh)"
        )
    return began_with


def _differing(then: Mapping[str, Any], source: BatchSource) -> list[str]:
    """Name what a source says otherwise than before; what only one version says does not count."""
    now = described(source)
    return sorted(key for key in then.keys() & now.keys() if then[key] != now[key])
