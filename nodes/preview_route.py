"""The editor's question to the server: how would this move?

POST /text2cinemagraph/preview?session=ID, with the body and answer of `preview_request`. ``session`` names the editor
that asks (at most 64 characters): its newer request replaces its older one. A request without one is replaced by none.
Refusals are {"error": text} with status 400 (bad request), 403 (another page's), 409 (replaced), 413 (body too large),
500 (failed) or 503 (too many requests, or too slow).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time

from aiohttp import web

from ..t2c_core.errors import InputError
from .preview_request import answer_preview

ROUTE = "/text2cinemagraph/preview"
MAX_BYTES = 6_000_000
MAX_PENDING = 8
MAX_SECONDS = 60.0
MAX_SESSION = 64
POLL_SECONDS = 0.05
"""How often a request that waits or runs looks whether its connection still stands; aiohttp does not tell."""


class _Stopped(Exception):
    """Nobody waits for the computation any more."""


class _Job:
    """One request: its task, and the refusal it gets if it is stopped. The first reason to stop counts."""

    def __init__(self, request: web.Request, turn: asyncio.Lock) -> None:
        self.refusal: web.Response | None = None
        self._stop = threading.Event()
        self.task = asyncio.create_task(self._answer(request, turn))

    def stop(self, reason: str, status: int) -> None:
        if self.refusal is None:
            self.refusal = _refuse(reason, status)
            self._stop.set()
            self.task.cancel()

    def _check(self) -> None:
        if self._stop.is_set():
            raise _Stopped

    async def _answer(self, request: web.Request, turn: asyncio.Lock) -> web.Response:
        body = await _read_body(request)
        if body is None:
            return _refuse(f"A request may have {MAX_BYTES // 10**6} MB.", 413)
        async with turn:
            thread = asyncio.create_task(asyncio.to_thread(answer_preview, body, self._check))
            try:
                return web.json_response(await asyncio.shield(thread))
            except asyncio.CancelledError:
                # The thread ends at its next check; until then it is still its turn.
                with contextlib.suppress(Exception):
                    await thread
                raise


class PreviewHandler:
    """Answers one request at a time, in the order of their arrival, at most one of each session."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._jobs: dict[object, _Job] = {}

    async def answer(self, request: web.Request) -> web.Response:
        """The aiohttp handler."""
        if not _is_of_own_page(request):
            return _refuse("Only ComfyUI's own page may ask for previews.", 403)
        session: object = request.query.get("session") or object()
        if isinstance(session, str) and len(session) > MAX_SESSION:
            return _refuse(f"session: has {len(session)} characters; at most {MAX_SESSION} are allowed.", 400)
        if replaced := self._jobs.pop(session, None):
            replaced.stop("A newer request of the same editor replaced this one.", 409)
        if len(self._jobs) >= MAX_PENDING:
            return _refuse("The server is busy with other previews.", 503)
        job = self._jobs[session] = _Job(request, self._turn)
        try:
            return await _watch(request, job)
        finally:
            job.stop("The server stopped.", 503)  # does nothing to a job that is done
            if self._jobs.get(session) is job:
                del self._jobs[session]


async def _watch(request: web.Request, job: _Job) -> web.Response:
    """The job's answer; stops it when its connection is closed or its time is over."""
    deadline = time.monotonic() + MAX_SECONDS
    while not job.task.done():
        await asyncio.wait({job.task}, timeout=POLL_SECONDS)
        if request.transport is None or request.transport.is_closing():
            job.stop("The connection was closed.", 503)
        elif time.monotonic() > deadline:
            job.stop(f"The preview took longer than {MAX_SECONDS:.0f} seconds.", 503)
    try:
        return job.task.result()
    except asyncio.CancelledError:
        return job.refusal or _refuse("The preview was stopped.", 503)
    except InputError as error:
        return _refuse(str(error), 400)
    except (ConnectionError, web.RequestPayloadError):
        return _refuse("The connection was closed.", 400)
    except Exception:  # a page must get an answer whatever happens, and the server stays up
        logging.exception("Text2Cinemagraph: the preview failed")
        return _refuse("The preview failed; the server's log says why.", 500)


def _is_of_own_page(request: web.Request) -> bool:
    """Whether a request comes from the page that this server hands out, or from no page at all.

    ComfyUI's own check is off once --enable-cors-header is set, and looks at loopback addresses only.
    """
    # What a page cannot set; browsers send it to https and to this machine. Behind a proxy it alone is right.
    if site := request.headers.get("Sec-Fetch-Site"):
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2].lower() == request.host.lower()


def _refuse(reason: str, status: int) -> web.Response:
    return web.json_response({"error": reason}, status=status)


async def _read_body(request: web.Request) -> bytes | None:
    """The request's body, or None as soon as it is longer than allowed."""
    chunks, length = [], 0
    async for chunk in request.content.iter_chunked(65536):
        length += len(chunk)
        if length > MAX_BYTES:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def add_preview_route(routes: web.RouteTableDef) -> None:
    """Let a server answer previews."""
    routes.post(ROUTE)(PreviewHandler().answer)
