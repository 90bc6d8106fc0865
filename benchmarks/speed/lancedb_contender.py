"""LanceDB: a database on columns in files, with an inverted file of product-quantised codes.

Its answers are refined with the float32 vectors of the table. Lists as ours has them; two
dimensions per code. Its threads share the one core that its process is bound to; with pools of one
thread each it waits for ever. One query per call, which is how its Python interface is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contender import Contender, Ladder, bytes_of, list_count


class Lancedb(Contender):
    """LanceDB with IVF_PQ and refinement."""

    name = "LanceDB"
    needs = ("lancedb", "lance")
    most_vectors = 2_000_000
    settings = "IVF_PQ, 32 sub-vectors of 8 bits, refined with float32"

    def build(self, vectors: NDArray[np.float32], folder: Path) -> None:
        """Write the table and index it."""
        import lancedb
        import pyarrow as pa

        n, dimension = vectors.shape
        values = pa.array(np.asarray(vectors).reshape(-1))
        table = pa.table(
            {
                "row": pa.array(np.arange(n)),
                "vector": pa.FixedSizeListArray.from_arrays(values, dimension),
            }
        )
        made = lancedb.connect(str(folder)).create_table("vectors", table, mode="overwrite")
        made.create_index(
            metric="dot",
            num_partitions=list_count(n),
            num_sub_vectors=dimension // 2,
            index_type="IVF_PQ",
        )

    def n_bytes(self, folder: Path) -> int:
        """Count its files, the float32 vectors among them."""
        return bytes_of(folder)

    def open(self, folder: Path, n: int) -> None:
        """Open the table; its index is cached in memory as it is used."""
        import lancedb

        del n
        self._table: Any = lancedb.connect(str(folder)).open_table("vectors")

    def ladders(self, n: int) -> Sequence[Ladder]:
        """Sweep the lists, at several depths of refinement."""
        return [
            Ladder("nprobes", 1, list_count(n), {"refine_factor": factor}) for factor in (5, 10, 20)
        ]

    def search(
        self, queries: NDArray[np.float32], limit: int, setting: Mapping[str, Any]
    ) -> NDArray[np.int64]:
        """Ask one by one."""
        found = np.full((len(queries), limit), -1, np.int64)
        for place, query in zip(found, queries, strict=True):
            # Without "_distance" it gives that too, and warns at every query that it will not.
            asked = self._table.search(query).distance_type("dot").select(["row", "_distance"])
            asked = asked.limit(limit)
            asked = asked.minimum_nprobes(setting["nprobes"]).maximum_nprobes(setting["nprobes"])
            rows = asked.refine_factor(setting["refine_factor"]).to_arrow().column("row")
            place[: len(rows)] = rows.to_numpy()
        return found
