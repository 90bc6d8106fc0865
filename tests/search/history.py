"""A made-up history of changes, and what an index must hold after each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from coverdex.search import Index, IndexEditor

from .made_up import DIMENSION, ENCODER_ID, MadeUp, unit

#: performance id -> (title, embedding as bytes)
State = dict[str, tuple[str | None, bytes]]


@dataclass
class Step:
    """Put these titles and embeddings, or remove these ids."""

    put: dict[str, tuple[str, np.ndarray]]
    remove: list[str]

    def apply_to(self, editor: IndexEditor) -> None:
        if self.put:
            editor.add(
                [{"performance_id": name, "title": title} for name, (title, _) in self.put.items()],
                np.stack([vector for _, vector in self.put.values()]),
                encoder_id=ENCODER_ID,
                update=True,
            )
        else:
            editor.remove(self.remove)

    def apply_to_state(self, state: State) -> State:
        after = {name: held for name, held in state.items() if name not in self.remove}
        for name, (title, vector) in self.put.items():
            after[name] = (title, vector.tobytes())
        return after


def steps(seed: int) -> Iterator[Step]:
    """An endless history over ids P_0 to P_159, of which a catalogue may hold the first."""
    rng = np.random.default_rng(seed)
    number = 0
    while True:
        number += 1
        names = [f"P_{i}" for i in rng.choice(160, int(rng.integers(1, 6)), replace=False)]
        if rng.random() < 0.4:
            yield Step({}, names)
        else:
            vectors = unit(rng.standard_normal((len(names), DIMENSION)))
            titles = [f"step {number}"] * len(names)
            pairs = zip(titles, vectors, strict=True)
            yield Step(dict(zip(names, pairs, strict=True)), [])


def state_of(catalogue: MadeUp) -> State:
    titles = catalogue.performances.column("title").to_pylist()
    vectors = [vector.tobytes() for vector in catalogue.embeddings]
    return dict(zip(catalogue.ids, zip(titles, vectors, strict=True), strict=True))


def state_in(index: Index) -> State:
    table: Any = index.performances
    names = table.column("performance_id").to_pylist()
    assert names == sorted(names)
    assert len(index) == len(names)
    vectors = [vector.tobytes() for vector in index.embeddings]
    pairs = zip(table.column("title").to_pylist(), vectors, strict=True)
    return dict(zip(names, pairs, strict=True))
