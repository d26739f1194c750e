"""The route that answers the editor: the solver's field, and a clear refusal of everything else."""

from __future__ import annotations

import base64
import concurrent.futures
import io
import json
import socket
import struct
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.paths import EXAMPLE
from scripts.server import ComfyServer

HINTS = json.dumps({"arrows": [{"points": [[0.42, 0.6], [0.42, 0.7]], "speed": 2}], "pins": [[0.2, 0.1], [0.9, 0.4]]})


def encoded(size: tuple[int, int] = (198, 256), kind: str = "JPEG", picture: Image.Image | None = None) -> str:
    file = io.BytesIO()
    (picture or Image.open(EXAMPLE).convert("RGB").resize(size)).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def route(session: str | None) -> str:
    return "/text2cinemagraph/preview" + (f"?session={session}" if session else "")


def send(
    server: ComfyServer, body: Any, raw: bytes | None = None, session: str | None = None
) -> tuple[int, dict[str, Any]]:
    data = raw if raw is not None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + route(session), data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def field_of(answer: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    height, width = answer["height"], answer["width"]
    velocity = np.frombuffer(base64.b64decode(answer["velocity"]), "<i2").reshape(2, height, width) * answer["scale"]
    mask = np.frombuffer(base64.b64decode(answer["mask"]), np.uint8).reshape(height, width) / 255
    return velocity, mask


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_field_follows_the_arrow(server: ComfyServer, kind: str) -> None:
    status, answer = send(server, {"picture": encoded(kind=kind), "hints": HINTS, "settings": {"flow": {"speed": 0.5}}})
    assert status == 200
    velocity, mask = field_of(answer)
    assert velocity.shape == (2, 256, 198)
    on = velocity[:, 166, 83]
    # Speed 2, halved by the node's: one pixel per frame of a picture of 512, downwards.
    assert on[1] == pytest.approx(1.0, rel=0.08) and abs(on[0]) < 0.1
    assert mask[166, 83] == 1 and mask[26, 40] == 0
    assert np.abs(velocity[:, mask == 0]).max() == 0


def bomb() -> str:
    """A PNG whose head claims 60000 x 60000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100))).decode()


GOOD = {"picture": encoded(), "hints": HINTS}
REFUSED = [
    ([], "must be an object"),
    ({}, "hints: must be a text"),
    ({**GOOD, "file": "/etc/passwd"}, "picture, hints and settings"),
    ({**GOOD, "picture": "/etc/passwd"}, "no JPEG or PNG"),
    ({**GOOD, "picture": 7}, "base64"),
    ({**GOOD, "picture": "AAAA"}, "no JPEG or PNG"),
    ({**GOOD, "picture": encoded()[:4000]}, "damaged JPEG or PNG"),
    ({**GOOD, "picture": encoded(kind="GIF")}, "no JPEG or PNG"),
    ({**GOOD, "picture": encoded((600, 40))}, "picture: is 600x40; sides of 8..512 are allowed"),
    ({**GOOD, "picture": encoded((200, 4))}, "picture: is 200x4; sides of 8..512 are allowed"),
    ({**GOOD, "picture": bomb()}, "picture"),
    ({**GOOD, "hints": "{"}, "not valid JSON"),
    ({**GOOD, "hints": '{"pins": [[NaN, 0]]}'}, "pin 1"),
    ({**GOOD, "hints": json.dumps({"pins": [[0.5, 0.5]] * 10_000})}, "at most 2000"),
    ({**GOOD, "hints": "{}"}, "say nothing of what moves"),
    ({**GOOD, "settings": []}, "flow and mask"),
    ({**GOOD, "settings": {"flow": {"speed": -1}}}, "speed"),
    ({**GOOD, "settings": {"flow": {"speed": float("nan")}}}, "speed"),
    ({**GOOD, "settings": {"flow": {"smoothness": True}}}, "smoothness"),
    ({**GOOD, "settings": {"flow": {"direction": "up"}}}, "direction"),
    ({**GOOD, "settings": {"flow": {"prompt": "x" * 5000}}}, "prompt"),
    ({**GOOD, "settings": {"mask": {"detail": 400}}}, "detail"),
    ({**GOOD, "settings": {"mask": {"path": "/etc"}}}, "path"),
]


@pytest.mark.parametrize(("body", "said"), REFUSED, ids=range(len(REFUSED)))
def test_malformed_requests_are_refused_with_a_reason(server: ComfyServer, body: Any, said: str) -> None:
    status, answer = send(server, body)
    assert status == 400
    assert said in answer["error"]
    # One reason, not one inside another.
    assert answer["error"].count("picture: ") <= 1


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_bodies_that_are_no_json_are_refused(server: ComfyServer, raw: bytes) -> None:
    status, answer = send(server, None, raw)
    assert status == 400 and "JSON" in answer["error"]


def test_an_oversize_body_is_refused(server: ComfyServer) -> None:
    status, answer = send(server, {**GOOD, "picture": "A" * 7_000_000})
    assert status == 413 and "6 MB" in answer["error"]


OWN, OTHER = "{own}", "https://other.example"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": OWN}, 200),
        ({"Origin": OWN, "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": OTHER}, 403),
        ({"Origin": "null"}, 403),
        # Two servers of one machine are one site and two origins; a page elsewhere may name any port of ours.
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": OWN, "Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": OTHER, "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_only_the_servers_own_page_is_answered(server: ComfyServer, headers: dict[str, str], status: int) -> None:
    sent = {name: server.url if value == OWN else value for name, value in headers.items()}
    request = urllib.request.Request(server.url + route(None), json.dumps(GOOD).encode(), sent)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            assert answer.status == status
    except urllib.error.HTTPError as error:
        assert error.code == status


def connect(server: ComfyServer, body: Any, session: str | None = None, *, whole: bool = True) -> socket.socket:
    """A connection with a request on it that nobody has answered yet; without its last byte unless ``whole``."""
    url = urllib.parse.urlsplit(server.url)
    data = json.dumps(body).encode()
    head = f"POST {route(session)} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: {len(data)}\r\n\r\n"
    connection = socket.create_connection((url.hostname, url.port))
    connection.sendall(head.encode() + (data if whole else data[:-1]))
    return connection


SLOW = {"picture": encoded((396, 512)), "hints": HINTS}


@pytest.mark.parametrize("session", ["one page", None])
def test_ten_aborted_strokes_do_not_delay_the_next(server: ComfyServer, session: str | None) -> None:
    session = session and urllib.parse.quote(session)
    start = time.monotonic()
    assert send(server, SLOW)[0] == 200
    alone = time.monotonic() - start
    for _ in range(10):
        connect(server, SLOW, session).close()
        time.sleep(0.06)
    start = time.monotonic()
    assert send(server, SLOW, session=session)[0] == 200
    # The one that ran may run on to its next check; all that waited are gone.
    assert time.monotonic() - start < 3 * alone + 0.5


def test_a_newer_request_replaces_the_waiting_and_the_running_one_of_its_session(server: ComfyServer) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:

        def start(session: str) -> concurrent.futures.Future[tuple[int, dict[str, Any]]]:
            future = pool.submit(send, server, SLOW, session=session)
            time.sleep(0.1)
            return future

        running, replacement, waiting, last = start("a"), start("a"), start("b"), start("b")
        assert running.result()[0] == waiting.result()[0] == 409
        assert "newer request" in waiting.result()[1]["error"]
        assert replacement.result()[0] == last.result()[0] == 200


def test_a_busy_session_does_not_starve_another(server: ComfyServer) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        connections = [connect(server, SLOW, "busy") for _ in range(2)]
        other = pool.submit(send, server, SLOW, session="patient")
        while not other.done():
            time.sleep(0.2)
            connections.append(connect(server, SLOW, "busy"))
            assert len(connections) < 100
        assert other.result()[0] == 200
    for connection in connections:
        connection.close()


def test_so_many_sessions_may_wait_and_a_closed_one_makes_room(server: ComfyServer) -> None:
    assert send(server, GOOD)[0] == 200  # whatever ran before is done
    held = [connect(server, GOOD, f"s{i}", whole=False) for i in range(8)]
    time.sleep(0.3)
    status, answer = send(server, GOOD, session="s8")
    assert status == 503 and "busy" in answer["error"]
    assert send(server, GOOD, session="s7")[0] == 200
    held.pop(0).close()
    time.sleep(0.3)
    assert send(server, GOOD, session="s8")[0] == 200
    for connection in held:
        connection.close()


def test_a_session_of_too_many_characters_is_refused(server: ComfyServer) -> None:
    status, answer = send(server, GOOD, session="s" * 65)
    assert status == 400 and "at most 64" in answer["error"]


def test_a_crowd_is_sent_away_and_the_server_stays_up(server: ComfyServer) -> None:
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: send(server, GOOD)[0], range(16)))
    assert set(answers) <= {200, 503} and answers.count(200) >= 1
    assert send(server, GOOD)[0] == 200
    assert "FlowPredictor" in server.object_info("FlowPredictor")
