"""The model card: what a checkpoint is, made from the run's own record (Mitchell et al. 2019).

Figures come from the run, never from a pen; what only people know (the licences of the data, what
the model is not good for) comes from the ``[card]`` table of the configuration.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .config import CardConfig

#: Columns of the table of results.
MEASURES = ("map", "mr1", "mrr", "hits_at_1", "hits_at_10")

_WHERE_THE_REST_IS = (
    "`config.json` holds the whole configuration, the hashes of the data and the versions."
)


def model_card(name: str, card: CardConfig, record: Mapping[str, Any]) -> str:
    """Write the card of a run's checkpoint.

    Parameters
    ----------
    name : str
        Of the checkpoint.
    card : CardConfig
        What only people know.
    record : mapping
        What :meth:`Trainer.record` gives, what :mod:`.soup` records of a mean of checkpoints, or
        :mod:`.joining` of an ensemble.

    Returns
    -------
    str
        Markdown.
    """
    sections = [
        f"# {name}",
        card.summary.strip(),
        "## Trained on",
        card.data.strip() or "Not said.",
        _data_table(record["data"]),
        "## Licences",
        card.licences.strip() or "Not said.",
        "## Results",
        _results(record),
        "## Not good for",
        card.limits.strip() or "Not said.",
        "## How it was made",
        _making(record),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _data_table(data: Mapping[str, Any]) -> str:
    rows = [f"| {key} | {_cell(value)} |" for key, value in data.items()]
    return "\n".join(["| | |", "|---|---|", *rows]) if rows else ""


def _cell(value: Any) -> str:
    text = f"`{json.dumps(value)}`" if isinstance(value, dict | list) else str(value)
    return text.replace("|", "\\|")


def _results(record: Mapping[str, Any]) -> str:
    validation = (record["result"] or {}).get("validation") or {}
    if not validation:
        return "Not validated."
    lines = [
        "The recordings of a validation set were not trained on. Every performance with a cover in "
        "the set is a query, and all others of the set are its candidates. In brackets: intervals "
        "of 95%, by work.",
        "",
        "| set | performances | queries | MAP | MR1 | MRR | hits@1 | hits@10 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in validation.items():
        counts = figures["counts"]
        measures = " | ".join(_measure(figures, key) for key in MEASURES)
        lines.append(
            f"| {name} | {counts['n_performances']} | {counts['n_queries']} | {measures} |"
        )
    for name, figures in (record.get("validation before") or {}).items():
        measures = " | ".join(_measure(figures, key) for key in MEASURES)
        counts = figures["counts"]
        lines.append(
            f"| {name}, before this training | {counts['n_performances']} | "
            f"{counts['n_queries']} | {measures} |"
        )
    if record["config"].get("run", {}).get("keep") == "best":
        lines += [
            "",
            "The epoch was chosen by the MAP of the first set, which makes that figure optimistic.",
        ]
    return "\n".join(lines)


def _measure(figures: Mapping[str, Any], key: str) -> str:
    """Give a figure, with its interval where the evaluation knows one."""
    interval = figures.get("intervals_95", {}).get(key)
    spread = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
    return f"{figures[key]:.3f}{spread}"


def _making(record: Mapping[str, Any]) -> str:
    if "ingredients" in record:
        return "\n\n".join([_combining(record), _parts(record["ingredients"]), _WHERE_THE_REST_IS])
    return f"{_run(record)}, {record['n_parameters']:,} weights. {_WHERE_THE_REST_IS}"


def _combining(record: Mapping[str, Any]) -> str:
    count, weights = len(record["ingredients"]), f"{record['n_parameters']:,}"
    if "projection" not in record:
        return f"The mean of {count} checkpoints' {weights} weights:"
    found = record["projection"]
    return (
        f"{count} networks side by side, {weights} weights. The {found['from']} numbers that they "
        f"give together are projected onto the {found['onto']} directions in which those of "
        f"{found['tracks']:,} tracks are greatest: {100 * found['kept']:.1f}% of their squared "
        "length. The networks:"
    )


def _parts(ingredients: Sequence[Mapping[str, Any]]) -> str:
    shares = [f"{part['share']:.2f} of " if "share" in part else "" for part in ingredients]
    return "\n".join(
        f"- {share}`{part['id']}`: {_run(part['training'])}."
        for share, part in zip(shares, ingredients, strict=True)
    )


def _run(record: Mapping[str, Any]) -> str:
    if "ingredients" in record:
        what = "networks side by side" if "projection" in record else "checkpoints' mean"
        return f"{len(record['ingredients'])} {what}, commit {record['commit'] or 'unknown'}"
    if "steps" not in record:
        return "made elsewhere"
    machine = record["machine"]
    where = machine.get("gpu") or f"the CPU with {machine['threads']} threads"
    return (
        f"{record['steps']} steps in {record['seconds']:.0f} s on {where}, seed "
        f"{record['config']['seed']}, commit {record['commit'] or 'unknown'}"
    )
