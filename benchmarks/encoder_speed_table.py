"""The speed of an encoder as a table: on a terminal, as Markdown, and as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..encoder.training.provenance import shortened
from .encoder_speed import PLAIN, EncoderSpeed

if TYPE_CHECKING:
    from rich.table import Table

_MIB = 2**20

HEADINGS = {
    "way": "way",
    "threads": "threads",
    "per s": "performances per second",
    "x real": "times real time",
    "x faster": "times faster",
    "read": "reading",
    "prep": "preprocessing",
    "net": "network",
    "x net": "network times faster",
    "MB": "peak memory, MB",
    "+MB": "of which for the work",
}


def encoder_speed_document(
    speeds: Sequence[EncoderSpeed], settings: Mapping[str, Any], environment: Mapping[str, Any]
) -> dict[str, Any]:
    """Put figures, what they were taken of, and on what, into one document.

    Parameters
    ----------
    speeds : sequence of EncoderSpeed
    settings : mapping
        Catalogue, encoder, rounds.
    environment : mapping
        Date, commit, versions and machine.
    """
    rows = [
        {**speed.summary(), "times_faster": all_of_it, "network_times_faster": network}
        for speed, (all_of_it, network) in zip(speeds, times_faster(speeds), strict=True)
    ]
    first = speeds[0]
    return {
        **settings,
        "n_performances": first.n_performances,
        "hours_of_music": first.seconds_of_music / 3600,
        "environment": dict(environment),
        "rows": rows,
    }


def times_faster(speeds: Sequence[EncoderSpeed]) -> list[tuple[float, float]]:
    """Return how many times as fast each way is as the plain one: all of it, and the network."""
    plain = {speed.threads: speed for speed in speeds if speed.way == PLAIN}
    return [
        (
            plain[speed.threads].seconds / speed.seconds,
            plain[speed.threads].network / speed.network,
        )
        for speed in speeds
    ]


def encoder_speed_table(speeds: Sequence[EncoderSpeed], *, title: str) -> Table:
    """Lay the figures out for a terminal of 80 columns, under short headings."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", caption=_caption(speeds), box=None)
    for i, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if i else "left", no_wrap=True)
    for cells in _rows(speeds):
        table.add_row(*cells)
    return table


def encoder_speed_markdown(document: Mapping[str, Any], speeds: Sequence[EncoderSpeed]) -> str:
    """Write the table and under it data, machine, commit and versions."""
    lines = [f"| {' | '.join(HEADINGS.values())} |", "|---|" + "---:|" * (len(HEADINGS) - 1)]
    lines += [f"| {' | '.join(cells)} |" for cells in _rows(speeds)]
    environment = document["environment"]
    machine, versions = environment["machine"], environment["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines += [
        "",
        f"{_caption(speeds)}. {document['encoder']} on {document['catalogue']}, best of "
        f"{document['rounds']} rounds. {machine['processor']}, {machine['cores']} cores, "
        f"{machine['system']}; commit {shortened(environment['commit'])}; {named}; "
        f"{environment['date'][:10]}.",
    ]
    return "\n".join(lines) + "\n"


def write_encoder_speed(
    document: Mapping[str, Any], speeds: Sequence[EncoderSpeed], folder: Path
) -> list[Path]:
    """Write ``encoder-speed.json`` and ``encoder-speed.md`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_markdown = folder / "encoder-speed.json", folder / "encoder-speed.md"
    as_json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    as_markdown.write_text(encoder_speed_markdown(document, speeds), encoding="utf-8")
    return [as_json, as_markdown]


def _rows(speeds: Sequence[EncoderSpeed]) -> list[list[str]]:
    return [
        [
            speed.way,
            str(speed.threads),
            f"{speed.per_second:,.0f}",
            f"{speed.times_real_time:,.0f}",
            f"{all_of_it:.2f}",
            f"{speed.reading / speed.seconds:.0%}",
            f"{speed.preprocessing / speed.seconds:.0%}",
            f"{speed.network / speed.seconds:.0%}",
            f"{network:.2f}",
            f"{speed.peak_memory / _MIB:,.0f}",
            f"{(speed.peak_memory - speed.memory_before) / _MIB:,.0f}",
        ]
        for speed, (all_of_it, network) in zip(speeds, times_faster(speeds), strict=True)
    ]


def _caption(speeds: Sequence[EncoderSpeed]) -> str:
    first = speeds[0]
    return (
        f"{first.n_performances:,} performances, {first.seconds_of_music / 3600:.2f} hours long; "
        f"x: against {PLAIN} on as many threads; +MB: above what was taken before the first file"
    )
