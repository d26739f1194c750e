"""The queue of the preview route, with a computation that the tests control; the real one: tests/comfyui."""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
import types
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from scripts.paths import REPO


@pytest.fixture
def route() -> Iterator[Any]:
    """The route's module, in a package that leaves ComfyUI's entry point out."""
    before = set(sys.modules)
    package = types.ModuleType("pack_without_comfyui")
    package.__path__ = [str(REPO)]
    sys.modules[package.__name__] = package
    yield importlib.import_module(f"{package.__name__}.nodes.preview_route")
    for name in set(sys.modules) - before:
        if name.startswith(package.__name__):
            del sys.modules[name]


def with_client(route: Any, steps: Callable[[TestClient], Awaitable[None]]) -> None:
    async def run() -> None:
        routes, app = web.RouteTableDef(), web.Application()
        route.add_preview_route(routes)
        app.add_routes(routes)
        async with TestClient(TestServer(app)) as client:
            await steps(client)

    asyncio.run(run())


def compute_until_stopped(body: bytes, check: Callable[[], None]) -> dict[str, Any]:
    while body == b"slow":
        check()
        time.sleep(0.005)
    return {"body": body.decode()}


def test_a_computation_that_takes_too_long_is_stopped(route: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "answer_preview", compute_until_stopped)
    monkeypatch.setattr(route, "MAX_SECONDS", 0.2)

    async def steps(client: TestClient) -> None:
        async with client.post(route.ROUTE, data=b"slow") as answer:
            assert answer.status == 503 and "longer than" in (await answer.json())["error"]
        async with client.post(route.ROUTE, data=b"fast") as answer:
            assert answer.status == 200 and await answer.json() == {"body": "fast"}

    with_client(route, steps)


def test_only_what_somebody_waits_for_is_computed(route: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[bytes] = []

    def compute(body: bytes, check: Callable[[], None]) -> dict[str, Any]:
        started.append(body)
        return compute_until_stopped(body, check)

    monkeypatch.setattr(route, "answer_preview", compute)

    async def steps(client: TestClient) -> None:
        async def post(body: str, session: str) -> int:
            data = b"slow" if body == "slow" else body.encode()
            async with client.post(route.ROUTE, params={"session": session}, data=data) as answer:
                return answer.status

        running = asyncio.create_task(post("slow", "a"))
        await asyncio.sleep(0.2)
        strokes = [asyncio.create_task(post(f"b{i}", "b")) for i in range(9)]
        await asyncio.sleep(0.2)
        gone = asyncio.create_task(post("gone", "c"))
        await asyncio.sleep(0.2)
        gone.cancel()
        await asyncio.sleep(0.2)
        running.cancel()
        assert await strokes[-1] == 200
        assert [await stroke for stroke in strokes[:-1]] == [409] * 8

    with_client(route, steps)
    assert started == [b"slow", b"b8"]


def test_other_pages_are_refused_where_comfyui_checks_none(route: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with --enable-cors-header, and on addresses of a network: no middleware of ComfyUI's stands before it."""
    monkeypatch.setattr(route, "answer_preview", compute_until_stopped)
    host = "192.168.1.5:8188"
    cases = [
        ({}, 200),
        ({"Origin": f"http://{host}"}, 200),
        ({"Origin": "https://proxy.example", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://192.168.1.5:3000"}, 403),
        ({"Origin": "https://other.example"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ]

    async def steps(client: TestClient) -> None:
        for headers, status in cases:
            async with client.post(route.ROUTE, data=b"fast", headers={"Host": host, **headers}) as answer:
                assert answer.status == status, headers
                assert ("own page" in await answer.text()) == (status == 403)

    with_client(route, steps)
