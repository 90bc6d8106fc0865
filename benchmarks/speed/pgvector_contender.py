"""pgvector: vectors in PostgreSQL, with its two kinds of index, a graph and lists.

Needs a server that has the extension, on this machine so that its CPU time can be read, and an
address for it in the environment variable :data:`ADDRESS`, such as
``postgresql://postgres@localhost/postgres``. The graph has pgvector's default degree and effort;
the number of lists is what its documentation recommends. One prepared statement per query.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contender import Contender, Ladder

#: Environment variable with the server's address.
ADDRESS = "COVERDEX_PGVECTOR"
_TOGETHER = 20_000


class _Pgvector(Contender):
    """What both kinds have in common."""

    needs = ("psycopg", "pgvector")
    #: Access method, and the setting of a session that is its effort.
    method: str
    effort: str
    most_effort: int

    def options(self, n: int) -> str:
        """Return what the index is made with."""
        raise NotImplementedError

    def missing(self) -> str | None:
        """Ask for the server, too."""
        no_address = None if os.environ.get(ADDRESS) else f"{ADDRESS} names no server"
        return super().missing() or no_address

    def build(self, vectors: NDArray[np.float32], folder: Path) -> None:
        """Copy the vectors into a table and index it in one process of the server."""
        self._connect()
        table = f"coverdex_speed_{self.method}_{len(vectors)}"
        run = self._connection.execute
        run(f"DROP TABLE IF EXISTS {table}")
        run(f"CREATE TABLE {table} (row bigint, vector vector({vectors.shape[1]}))")
        copy = f"COPY {table} (row, vector) FROM STDIN WITH (FORMAT BINARY)"
        with self._connection.cursor().copy(copy) as rows:
            rows.set_types(["int8", "vector"])
            for start in range(0, len(vectors), _TOGETHER):
                for number, vector in enumerate(vectors[start : start + _TOGETHER], start):
                    rows.write_row((number, vector))
        run("SET max_parallel_maintenance_workers = 0")
        run("SET maintenance_work_mem = '3GB'")
        index = f"CREATE INDEX {table}_index ON {table} USING {self.method} (vector vector_ip_ops)"
        run(f"{index} WITH ({self.options(len(vectors))})")
        (folder / "table").write_text(table, encoding="utf-8")

    def n_bytes(self, folder: Path) -> int:
        """Ask the server how large the index is; it holds the vectors."""
        self._connect()
        index = f"{(folder / 'table').read_text(encoding='utf-8')}_index"
        asked = self._connection.execute("SELECT pg_relation_size(%s)", (index,))
        return int(asked.fetchone()[0])

    def open(self, folder: Path, n: int) -> None:
        """Connect, and bring table and index into the server's memory."""
        del n
        self._connect()
        run = self._connection.execute
        self._table = (folder / "table").read_text(encoding="utf-8")
        run("SET enable_seqscan = off")
        run("SET max_parallel_workers_per_gather = 0")
        run("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
        for relation in (self._table, f"{self._table}_index"):
            run("SELECT pg_prewarm(%s)", (relation,))

    def ladders(self, n: int) -> Sequence[Ladder]:
        """Sweep the effort."""
        return [Ladder(self.effort, 1, min(n, self.most_effort))]

    def search(
        self, queries: NDArray[np.float32], limit: int, setting: Mapping[str, Any]
    ) -> NDArray[np.int64]:
        """Ask one by one."""
        self._connection.execute(f"SET {self.method}.{self.effort} = {int(setting[self.effort])}")
        statement = f"SELECT row FROM {self._table} ORDER BY vector <#> %s LIMIT {int(limit)}"
        found = np.full((len(queries), limit), -1, np.int64)
        for place, query in zip(found, queries, strict=True):
            rows = self._cursor.execute(statement, (query,), prepare=True).fetchall()
            place[: len(rows)] = [row for (row,) in rows]
        return found

    def other_cpu_seconds(self) -> float:
        """Read the CPU time of the server's process behind this connection."""
        if not hasattr(self, "_connection"):
            return 0.0
        stat = Path(f"/proc/{self._server_process}/stat").read_text(encoding="utf-8")
        user, system = stat.rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _connect(self) -> None:
        if hasattr(self, "_connection"):
            return
        import psycopg
        from pgvector.psycopg import register_vector

        self._connection: Any = psycopg.connect(os.environ[ADDRESS], autocommit=True)
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(self._connection)
        self._cursor = self._connection.cursor(binary=True)
        self._server_process = int(self._connection.info.backend_pid)


class PgvectorGraph(_Pgvector):
    """pgvector with a graph, the quicker of the two once it is there."""

    name = "pgvector, HNSW"
    most_vectors = 200_000
    settings = "m 16, ef_construction 64, float32"
    method, effort, most_effort = "hnsw", "ef_search", 1_000

    def options(self, n: int) -> str:
        """Return its defaults."""
        del n
        return "m = 16, ef_construction = 64"


class PgvectorLists(_Pgvector):
    """pgvector with an inverted file."""

    name = "pgvector, IVFFlat"
    most_vectors = 2_000_000
    settings = "one list per 1,000 vectors, beyond a million as many as their root, float32"
    method, effort, most_effort = "ivfflat", "probes", 1_000

    def options(self, n: int) -> str:
        """Return one list per 1,000 vectors, and the root of their number beyond a million."""
        return f"lists = {max(1, n // 1_000 if n <= 1_000_000 else math.isqrt(n))}"
