"""A running service follows its index: changes are in the next answer, a foreign one is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from coverdex.encoder import Chroma, Encoder
from coverdex.search import IndexEditor, write_index
from coverdex.service import Engine


@pytest.fixture
def changing(index_folder: Path, tmp_path: Path) -> Path:
    """A copy of the index that the test may change."""
    return Path(shutil.copytree(index_folder, tmp_path / "changing.index"))


def ask(client: Any, performance_id: str) -> Any:
    return client.post("/v1/search", json={"query": {"performance_id": performance_id}})


def test_added_and_removed_performances_are_in_the_next_answer(
    make_client: Any, changing: Path, encoder: Encoder, tracks: dict[str, Chroma]
) -> None:
    client = make_client(served=Engine.open(changing))
    assert ask(client, "P_new").status_code == 404
    with IndexEditor(changing) as editor:
        editor.add(
            [{"performance_id": "P_new", "work_id": "W_0"}],
            encoder.embed(tracks["P_3"])[None],
            encoder_id=encoder.id,
        )
        found = ask(client, "P_new").json()["candidates"]
        assert found[0]["performance_id"] == "P_3"
        assert found[0]["similarity"] == pytest.approx(1.0, abs=1e-5)
        editor.remove(["P_3"])
        again = ask(client, "P_new").json()["candidates"]
        assert "P_3" not in [candidate["performance_id"] for candidate in again]
        assert client.get("/v1/index").json()["count"] == len(tracks)


def test_an_index_replaced_by_another_encoders_is_refused(
    make_client: Any, changing: Path, encoder: Encoder
) -> None:
    client = make_client(served=Engine.open(changing))
    assert ask(client, "P_3").status_code == 200
    write_index(
        changing,
        embeddings=np.eye(64, dtype=np.float32)[:4],
        performances=pa.table({"performance_id": [f"P_{i}" for i in range(4)]}),
        encoder_id="other-0123456789ab",
        encoder_name="other",
        source="made up",
        overwrite=True,
    )
    refused = ask(client, "P_3")
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:coverdex:problem:encoder-mismatch"
    assert encoder.id in refused.json()["detail"]
    assert "other-0123456789ab" in refused.json()["detail"]
