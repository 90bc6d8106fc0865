"""Queries run in bounded threads, and the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import faiss
import pytest
import torch
from coverdex.encoder import Chroma
from coverdex.service import Engine, Settings, body_parsing, create_app
from coverdex.service.body_parsing import LONG_BODY, parse_body
from coverdex.service.problems import OVERLOADED, ProblemError
from coverdex.service.workers import WorkerPool
from httpx2 import ASGITransport, AsyncClient

from .asking import by_chroma, by_id, problem_of


def test_work_is_done_in_another_thread_and_its_error_comes_back() -> None:
    async def scenario() -> None:
        pool = WorkerPool(workers=1, backlog=0, compute_threads=1)
        assert await pool.run(threading.get_ident) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
        assert await pool.run(lambda: 3) == 3, "an error must give its place back"
        pool.close()

    asyncio.run(scenario())


def test_more_than_workers_and_backlog_are_turned_away() -> None:
    async def scenario() -> None:
        pool = WorkerPool(workers=2, backlog=1, compute_threads=1)
        go_on = threading.Event()
        running = [asyncio.ensure_future(pool.run(go_on.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(ProblemError) as refused:
            await pool.run(lambda: None)
        assert refused.value.kind is OVERLOADED
        go_on.set()
        assert await asyncio.gather(*running) == [True, True, True]
        assert await pool.run(lambda: 3) == 3
        pool.close()

    asyncio.run(scenario())


def test_a_client_that_went_away_still_takes_its_place_until_the_work_is_done() -> None:
    async def scenario() -> None:
        pool = WorkerPool(workers=1, backlog=0, compute_threads=1)
        started, go_on = threading.Event(), threading.Event()

        def work() -> None:
            started.set()
            go_on.wait()

        request = asyncio.ensure_future(pool.run(work))
        await asyncio.to_thread(started.wait)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        with pytest.raises(ProblemError):
            await pool.run(lambda: None)
        go_on.set()
        pool.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("compute_threads", [1, 2])
def test_every_worker_computes_with_the_threads_that_are_set(compute_threads: int) -> None:
    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    both = threading.Barrier(2)

    def count() -> tuple[int, int]:
        both.wait(10)  # so that both workers answer, one each
        return torch.get_num_threads(), faiss.omp_get_max_threads()

    async def scenario() -> list[tuple[int, int]]:
        pool = WorkerPool(workers=2, backlog=0, compute_threads=compute_threads)
        counts = await asyncio.gather(pool.run(count), pool.run(count))
        pool.close()
        return counts

    try:
        assert asyncio.run(scenario()) == [(compute_threads, compute_threads)] * 2
    finally:
        torch.set_num_threads(before[0])
        faiss.omp_set_num_threads(before[1])


class WaitingEngine(Engine):
    """An engine whose searches wait until they are let go."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.index, engine.encoder)
        self.go_on = threading.Event()

    def search(self, query: Any, limit: int) -> Any:
        self.go_on.wait()
        return super().search(query, limit)


def test_while_all_workers_are_busy_health_is_answered_and_searches_are_turned_away(
    engine: Engine, index_folder: Any
) -> None:
    waiting = WaitingEngine(engine)
    settings = Settings(index=index_folder, workers=1, backlog=1)
    app = create_app(settings, engine=waiting)
    body = {"query": by_id("P_1"), "limit": 1}

    async def scenario() -> None:
        transport = ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            AsyncClient(transport=transport, base_url="http://service") as client,
        ):
            try:
                first = asyncio.ensure_future(client.post("/v1/search", json=body))
                second = asyncio.ensure_future(client.post("/v1/search", json=body))
                while app.state.workers.taken < 2:
                    await asyncio.sleep(0.001)
                third = await client.post("/v1/search", json=body)
                problem_of(third, OVERLOADED)
                assert third.headers["retry-after"] == "1"
                assert (await client.get("/health/ready")).status_code == 200
                assert not first.done()
            finally:
                waiting.go_on.set()
            assert (await first).status_code == (await second).status_code == 200

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_queries_at_the_same_time_are_answered_as_one_by_one(
    engine: Engine, index_folder: Any, tracks: dict[str, Chroma]
) -> None:
    app = create_app(Settings(index=index_folder, workers=4), engine=engine)
    bodies = [{"query": by_chroma(chroma), "limit": 3} for chroma in tracks.values()]

    async def scenario() -> None:
        transport = ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            AsyncClient(transport=transport, base_url="http://service") as client,
        ):
            alone = [(await client.post("/v1/search", json=body)).json() for body in bodies]
            asked = (client.post("/v1/search", json=body) for body in bodies)
            together = [response.json() for response in await asyncio.gather(*asked)]
        assert together == alone
        firsts = [answer["candidates"][0]["performance_id"] for answer in together]
        assert firsts == list(tracks)

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_requests_that_wait_for_the_parsing_of_their_bodies_are_bounded_too(
    engine: Engine, index_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(Settings(index=index_folder, workers=1, backlog=1), engine=engine)
    body = json.dumps({"query": by_id("P_1"), "limit": 1}).encode() + b" " * LONG_BODY
    go_on = threading.Event()

    def parse_later(body: bytes) -> Any:
        go_on.wait()
        return parse_body(body)

    monkeypatch.setattr(body_parsing, "parse_body", parse_later)

    async def scenario() -> None:
        transport = ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            AsyncClient(transport=transport, base_url="http://service") as client,
        ):

            def ask() -> asyncio.Task[Any]:
                headers = {"content-type": "application/json"}
                return asyncio.create_task(client.post("/v1/search", content=body, headers=headers))

            asked = [ask() for _ in range(5)]
            try:
                turned_away, _ = await asyncio.wait(asked, timeout=2)
                short = await client.post("/v1/search", json={"query": by_id("P_1")})
                assert short.status_code == 200, "which waits for no parsing"
            finally:
                go_on.set()
            assert len(turned_away) == 3
            for each in turned_away:
                problem_of(each.result(), OVERLOADED)
                assert each.result().headers["retry-after"] == "1"
            answers = await asyncio.gather(*asked)
            assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503]
            assert (await ask()).status_code == 200, "the places were given back"

    asyncio.run(asyncio.wait_for(scenario(), 60))
