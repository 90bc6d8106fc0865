"""Long bodies are parsed in slices and off the loop, with the same result and the same errors."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest
from coverdex.service import body_parsing
from coverdex.service.body_parsing import parse_body
from coverdex.service.problems import (
    INVALID_CHROMA,
    INVALID_REQUEST,
    MALFORMED_JSON,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from .asking import by_chroma, problem_of
from .conftest import MakeClient, track

NUMBERS = st.one_of(st.floats(0, 1e6), st.integers(0, 10), st.sampled_from([1e-7, 0.1, 1e22]))
FRAMES = st.lists(st.lists(NUMBERS, min_size=12, max_size=12), min_size=1, max_size=9)


def plain(value: Any) -> Any:
    """Arrays as lists of floats, everywhere."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


@settings(max_examples=200, deadline=None)
@given(
    first=FRAMES,
    other=FRAMES,
    text=st.text(),
    indent=st.sampled_from([None, 0, 3]),
    slice_length=st.integers(1, 400),
    ascii_only=st.booleans(),
)
def test_slices_give_what_json_gives(
    first: Any, other: Any, text: str, indent: int | None, slice_length: int, ascii_only: bool
) -> None:
    document = {
        text: text,
        "a": {"hpcp": first, "frame_rate": 4.0, "note": f'"hpcp": [[1, 2]] {text}'},
        "b": {"frame_rate": 2, "hpcp": other},
        'my "hpcp': [[1, 2], [3]],
    }
    body = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode(
        errors="surrogatepass"
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(body_parsing, "SLICE", slice_length)
        try:
            wanted = json.loads(body)
        except UnicodeDecodeError:
            with pytest.raises(UnicodeDecodeError):
                parse_body(body)
            return
        parsed = parse_body(body)
    assert plain(parsed) == wanted
    assert isinstance(parsed["a"]["hpcp"], np.ndarray)
    assert isinstance(parsed["b"]["hpcp"], np.ndarray)


@pytest.mark.parametrize(
    "text",
    [
        '{"hpcp": []}',
        '{"hpcp": [[]]}',
        '{"hpcp": [[1, true]]}',
        '{"hpcp": [[1, 2], [3, [4]]]}',
        '{"hpcp": [["]", "[["]]}',
        '{"hpcp": [[[1]], [[2]]]}',
        '{"hpcp": [1, 2]}',
        '{"hpcp": "[[1]]"}',
        f'{{"hpcp": [[{", ".join(["1" * 400] * 12)}]]}}',
        '["hpcp", [[1]]]',
        "null",
    ],
)
def test_what_is_odd_is_left_to_json(text: str) -> None:
    assert parse_body(text.encode()) == json.loads(text)


TWELVE = ", ".join(["0.5"] * 12)


@pytest.mark.parametrize("slice_length", [1, 10, 1000])
def test_of_wrong_frames_one_of_each_length_is_given(
    slice_length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_parsing, "SLICE", slice_length)
    text = f'{{"hpcp": [[{TWELVE}], [1, 2], [], [{TWELVE}], [1, 2, 3], [7, 8], [9, 9, 9, 9]]}}'
    assert parse_body(text.encode()) == {"hpcp": [[], [0.0, 0.0], [0.0, 0.0, 0.0]]}


def test_no_key_of_a_request_stands_for_frames() -> None:
    for text in (
        '{"x": {"\\ue000frames": 0}}',
        f'{{"x": {{"\\ue000frames": 0}}, "y": {{"\ue000frames": "0"}}, "hpcp": [[{TWELVE}]]}}',
    ):
        assert plain(parse_body(text.encode())) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        f'{{"hpcp": [[{TWELVE}]',
        f'{{"hpcp": [[{TWELVE}], ]}}',
        f'{{"hpcp": [[{TWELVE}] [{TWELVE}]]}}',
        f'{{"hpcp": [[{TWELVE}],, [{TWELVE}]]}}',
        f'{{"hpcp": [[{TWELVE}]]]}}',
        f'{{"hpcp": [[01, {TWELVE[5:]}]]}}',
        f'{{"hpcp": [[{TWELVE}]], }}',
        f'{{"hpcp": [[{TWELVE}',
        f'{{"hpcp": [[{TWELVE}]]',
    ],
)
@pytest.mark.parametrize("slice_length", [1, 10, 1000])
def test_what_is_no_json_is_none(
    text: str, slice_length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_parsing, "SLICE", slice_length)
    with pytest.raises(json.JSONDecodeError) as wanted:
        json.loads(text)
    with pytest.raises(json.JSONDecodeError) as found:
        parse_body(text.encode())
    assert (found.value.msg, found.value.pos) == (wanted.value.msg, wanted.value.pos)


def test_a_long_body_is_parsed_in_slices_off_the_loop(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"query": by_chroma(track(3, n_frames=6000)), "limit": 3}
    lengths: list[int] = []
    loops: set[int] = set()
    parsers: set[int] = set()
    read_slice, ask = body_parsing._read_slice, body_parsing._RequestInSlices.json

    def watched_slice(text: str) -> Any:
        lengths.append(len(text))
        parsers.add(threading.get_ident())
        return read_slice(text)

    async def watched_json(request: Any) -> Any:
        loops.add(threading.get_ident())
        return await ask(request)

    monkeypatch.setattr(body_parsing, "_read_slice", watched_slice)
    monkeypatch.setattr(body_parsing._RequestInSlices, "json", watched_json)
    client = make_client()
    answer = client.post("/v1/search", json=asked)
    assert len(answer.json()["candidates"]) == 3
    length = len(json.dumps(asked, separators=(",", ":")))
    assert length > 10 * body_parsing.SLICE
    assert max(lengths) < body_parsing.SLICE + 1000
    assert length - 100 < sum(lengths) + len(lengths) < length + len(lengths)
    assert not parsers & loops

    before = len(lengths)
    assert client.post("/v1/search", json={"query": {"performance_id": "P_3"}}).is_success
    assert len(lengths) == before
    pair = client.post("/v1/similarity", json={"first": asked["query"], "second": asked["query"]})
    assert pair.json()["similarity"] == pytest.approx(1, abs=1e-5)
    assert len(lengths) == 3 * before


def test_slices_change_no_answer(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    client = make_client()
    asked = {"query": by_chroma(track(4, n_frames=2000))}
    sliced = client.post("/v1/search", json=asked).json()
    monkeypatch.setattr(body_parsing, "LONG_BODY", 10**9)
    assert client.post("/v1/search", json=asked).json() == sliced


def test_errors_of_long_bodies_are_those_of_short_ones(make_client: MakeClient) -> None:
    client = make_client()
    frames = [[0.5] * 12 for _ in range(3000)]

    def post(hpcp: Any, **more: Any) -> Any:
        return client.post("/v1/search", json={"query": {"hpcp": hpcp, "frame_rate": 4.0, **more}})

    ragged = [*frames, [0.5] * 11]
    long = problem_of(post(ragged), INVALID_CHROMA)
    assert long == problem_of(post(ragged[-2:]), INVALID_CHROMA)
    assert long["reason"] == "wrong-shape"
    wrong = [*frames, [0.5] * 11 + ["x"]]
    (error,) = problem_of(post(wrong), INVALID_REQUEST)["errors"]
    assert error["pointer"] == "#/query/hpcp/3000/11"
    negative = [*frames, [-0.5] * 12]
    assert problem_of(post(negative), INVALID_CHROMA)["reason"] == "negative"
    problem_of(post(frames, framerate=4.0), INVALID_REQUEST)
    body = json.dumps({"query": {"hpcp": frames}})[:-3]
    kind = {"content-type": "application/json"}
    problem_of(client.post("/v1/search", content=body, headers=kind), MALFORMED_JSON)
    cut = json.dumps({"query": {"hpcp": frames}}).encode() + b"\xff"
    problem_of(client.post("/v1/search", content=cut, headers=kind), MALFORMED_JSON)
