"""A specification of a benchmark, as a file."""

from __future__ import annotations


def written(folder, text):
    path = folder / "spec.toml"
    path.write_text(text)
    return path
