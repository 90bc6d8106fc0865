"""Making the demo catalogue again, where the tools for it are installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from coverdex.encoder.errors import NotFoundError
from coverdex.indexer.demo import demo_catalogue_path, render
from coverdex.indexer.demo.tunes import read_works
from coverdex.indexer.parquet_catalogue import ParquetCatalogue

#: The work that is rendered again: two settings.
RERENDERED = "W_1045"

needs_tools = pytest.mark.skipif(
    bool(render.missing_tools()), reason=f"needs {', '.join(render.missing_tools())}"
)


def test_missing_tools_are_named_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(render, "SOUNDFONT_FOLDER", tmp_path / "nowhere")
    out = tmp_path / "demo.parquet"
    assert render.main(["--out", str(out), "--tunes", "1"]) == 3
    assert "FluidR3_GM.sf2" in capsys.readouterr().err
    assert not out.exists()
    with pytest.raises(NotFoundError, match=r"TimGM6mb\.sf2"):
        next(render.render_catalogue(read_works()))


@needs_tools
def test_a_work_is_rendered_as_it_is_shipped() -> None:
    """Leave room for the last bits of another processor's spectrum: a few codes, by little."""
    shipped = ParquetCatalogue(demo_catalogue_path())
    made_with, here = shipped.file_metadata, render.tool_versions()
    if made_with != here:
        pytest.skip(f"shipped file was made with {made_with}, here are {here}")
    settings = next(work for work in read_works() if work[0].work_id == RERENDERED)
    stored = {record.performance_id: (record, chroma) for record, chroma in shipped}
    for record, chroma in render.render_catalogue([settings]):
        shipped_record, shipped_chroma = stored[record.performance_id]
        assert record == shipped_record
        assert chroma.n_frames == shipped_chroma.n_frames
        codes, shipped_codes = (np.rint(c.values * 255) for c in (chroma, shipped_chroma))
        difference = np.abs(codes - shipped_codes)
        assert np.mean(difference > 0) < 0.01
        assert difference.mean() < 0.05
