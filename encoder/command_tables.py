"""Tables that the commands of ``coverdex encoder`` print."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Column, Table


def print_encoders(described: list[dict[str, Any]]) -> None:
    """Print what ``coverdex encoder info`` says of each encoder, one row each."""
    encoder = Column("encoder", no_wrap=True)  # an index asks for it by the whole id
    table = Table(encoder, "reads", "gives", "weights", "validation MAP", box=None)
    for each in described:
        scores = each["result"] or {}
        table.add_row(
            each["id"],
            f"{each['kind']} at {each['preprocessing']['frame_rate']:g} Hz",
            f"{each['dimension']} numbers",
            f"{each['parameters']:,}",
            ", ".join(f"{name} {figures['map']:.3f}" for name, figures in scores.items()) or "none",
        )
    Console().print(table)


def print_tried(tried: list[dict[str, Any]]) -> None:
    """Print what ``coverdex encoder search`` found of each design, one row each."""
    sets = list(dict.fromkeys(name for each in tried for name in each["map"]))
    columns = ("design", "weights", "steps", "loss", *(f"MAP {name}" for name in sets), "seconds")
    table = Table(*columns, box=None)
    for each in tried:
        table.add_row(
            each["name"],
            f"{each['parameters']:,}",
            f"{each['steps']:,}",
            f"{each['loss']:.3f}",
            *(f"{each['map'][name]:.3f}" if name in each["map"] else "" for name in sets),
            f"{each['seconds']:.0f}",
        )
    Console().print(table)
