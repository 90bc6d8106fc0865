"""Downloads: resumed, checked, unpacked whole or not at all. The server is this test's own."""

from __future__ import annotations

import errno
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from coverdex.benchmarks.download import Archive, DownloadError, download_datacos, fetch
from coverdex.encoder import NotFoundError

NAME = "da-tacos_metadata.zip"


def zipped(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


CONTENT = zipped({"da-tacos_metadata/some.json": b"{}" * 40_000})


class Server(ThreadingHTTPServer):
    """Serves CONTENT; remembers the ranges asked for; can cut a reply short or ignore ranges."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []
        self.cut_after: int | None = None
        self.knows_ranges = True

    @property
    def archive(self) -> Archive:
        md5 = hashlib.md5(CONTENT).hexdigest()
        return Archive(f"http://127.0.0.1:{self.server_address[1]}/{NAME}", NAME, md5)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if not self.server.knows_ranges:
            start = 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        body = CONTENT[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut_after])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def download(server: Server, folder: Path) -> None:
    download_datacos(["metadata"], folder, archives={"metadata": server.archive})


def test_a_part_is_fetched_checked_and_unpacked(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    parts = download_datacos(
        ["metadata"],
        tmp_path,
        archives={"metadata": server.archive},
        progress=lambda *state: seen.append(state),
    )
    assert parts == ["metadata"]
    assert [path.name for path in tmp_path.iterdir()] == ["da-tacos_metadata"]
    assert (tmp_path / "da-tacos_metadata" / "some.json").read_bytes() == b"{}" * 40_000
    assert seen[-1] == (NAME, len(CONTENT), len(CONTENT))
    download(server, tmp_path)
    assert len(server.ranges) == 1, "what is there is not fetched again"


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_cut_download_goes_on(server: Server, tmp_path: Path, knows_ranges: bool) -> None:
    server.cut_after = 100
    with pytest.raises(DownloadError, match="goes on from the 100 bytes"):
        download(server, tmp_path)
    server.cut_after, server.knows_ranges = None, knows_ranges
    download(server, tmp_path)
    assert server.ranges == [None, "bytes=100-"]
    assert (tmp_path / "da-tacos_metadata" / "some.json").is_file()


def test_a_complete_part_needs_no_more_bytes(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT)
    assert fetch(server.archive, tmp_path).read_bytes() == CONTENT


def test_damaged_bytes_are_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(b"x" * 100)
    with pytest.raises(DownloadError, match="damaged"):
        download(server, tmp_path)
    assert not list(tmp_path.iterdir())
    download(server, tmp_path)
    assert (tmp_path / "da-tacos_metadata").is_dir()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
def test_a_full_disk_is_not_taken_for_the_network(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"part cannot be written: .*No space") as caught:
        download(server, tmp_path)
    assert "network" not in str(caught.value)


def test_what_finds_no_room_is_not_left_half_unpacked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: zipfile.ZipFile, folder: Path) -> None:
        folder.mkdir()
        (folder / "half").write_bytes(b"x")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(zipfile.ZipFile, "extractall", full)
        with pytest.raises(DownloadError, match=r"cannot be unpacked .*No space.*archive is kept"):
            download(server, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    download(server, tmp_path)
    assert len(server.ranges) == 1
    assert (tmp_path / "da-tacos_metadata" / "some.json").is_file()


def test_without_a_network_there_is_one_clear_line(tmp_path: Path) -> None:
    archive = Archive(f"http://127.0.0.1:9/{NAME}", NAME, "0" * 32)  # the discard port: closed
    with pytest.raises(DownloadError, match=r"could not download .* check the network") as caught:
        download_datacos(["metadata"], tmp_path, archives={"metadata": archive})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "words"), [(["benchmark"], "no part 'benchmark'"), ([], "named")]
)
def test_unknown_parts_are_named(tmp_path: Path, parts: list[str], words: str) -> None:
    archive = Archive("http://127.0.0.1:9/", NAME, "0" * 32)
    with pytest.raises(NotFoundError, match=f"{words}.*Da-TACOS has metadata"):
        download_datacos(parts, tmp_path / "new", archives={"metadata": archive})
    assert not (tmp_path / "new").exists()


def test_mirdata_knows_the_parts_that_the_readme_names() -> None:
    pytest.importorskip("mirdata")
    from coverdex.benchmarks.download import datacos_archives

    archives = datacos_archives()
    assert archives["metadata"].folder == "da-tacos_metadata"
    assert archives["benchmark_hpcp"].folder == "da-tacos_benchmark_subset_hpcp"
    assert archives["coveranalysis_hpcp"].folder == "da-tacos_coveranalysis_subset_hpcp"
