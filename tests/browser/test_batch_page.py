"""The page of a batch in a real Chromium, from a file: no server, nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pytest
from PIL import Image

from t2c_core.batch.manifest import read_manifest
from t2c_core.batch.page import page as page_of
from t2c_core.batch.plan import Record, make_plan
from t2c_core.batch.run import write_results
from t2c_core.batch.store import LocalStore
from t2c_core.batch.worker import Worker, pack

MANY = 10_000
SHARED = {"image": "still.png", "mask": "mask.png", "direction": "left to right", "frames": 8}
ROWS = [
    {"id": "river #1", **SHARED},
    {"id": "sea", **SHARED, "format": "webp"},
    {"id": "fall", **SHARED, "frames": 20, "flow_speed": 4},
    {"id": "script", **SHARED, "image": "</script><b>.png"},
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalStore, list[Record]]:
    """A batch made by a worker in this process: three loops, and one that failed."""
    folder = tmp_path_factory.mktemp("batch")
    noise = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    Image.fromarray(noise).resize((192, 128), Image.Resampling.BICUBIC).save(folder / "still.png")
    Image.fromarray(np.repeat(np.array([0, 255], np.uint8), 64)[:, None].repeat(192, 1)).save(folder / "mask.png")
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    store = LocalStore(folder / "out")
    plan = make_plan(read_manifest(folder / "rows.jsonl"), store)
    packed = Worker(store.url)({"task": [pack(task) for task in plan.tasks]})["record"]
    records = [json.loads(record) for record in packed]
    write_results(records, store)
    return store, records


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """An empty page; whatever is asked of another place than the disk, and every error, fails the test."""
    context = chromium.new_context(viewport={"width": 1200, "height": 800})
    opened = context.new_page()
    wrong: list[str] = []
    opened.asked = []
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    assert not wrong
    assert {urlparse(url).scheme for url in opened.asked} == {"file"}


def names(page: Any) -> list[str]:
    """Of the cards, in reading order."""
    return page.evaluate(
        """() => [...document.querySelectorAll(".card")]
            .sort((a, b) => a.offsetTop - b.offsetTop || a.offsetLeft - b.offsetLeft)
            .map(card => card.querySelector(".name").textContent)"""
    )


def test_loops_are_listed_played_sorted_and_filtered(out: tuple[LocalStore, list[Record]], page: Any) -> None:
    store, records = out
    page.goto((store.root / "index.html").as_uri())
    assert names(page) == ["river #1", "sea", "fall", "script"]
    assert page.text_content("#count") == "4 of 4 rows, 1 failed"
    page.wait_for_function("[...document.images].every(i => i.complete && i.naturalWidth === 192)")
    assert not page.query_selector("video")

    card = page.locator(".card", has_text="river #1")
    card.hover()
    page.wait_for_function("document.querySelector('.card video')?.currentTime > 0.05")
    page.locator(".card", has_text="sea").hover()
    page.wait_for_function("document.querySelector('.card img[src$=webp]')?.naturalWidth === 192")
    assert not page.query_selector("video"), "one plays at a time"

    page.select_option("#sort", "seam_ratio")
    worst = sorted(records[:3], key=lambda r: -abs(np.log(r["metrics"]["seam_ratio"])))
    assert names(page) == [*(r["id"] for r in worst), "script"]
    page.select_option("#sort", "failures first")
    assert names(page)[0] == "script"
    assert "<b>.png' does not exist" in page.text_content(".card.failed .view")
    page.select_option("#status", "done")
    page.select_option("#metric", "motion_amount")
    amounts = sorted(r["metrics"]["motion_amount"] for r in records[:3])
    page.fill("#low", str((amounts[1] + amounts[2]) / 2))
    assert names(page) == ["fall"]
    page.fill("#find", "webp")
    assert names(page) == []
    page.fill("#low", "")
    assert names(page) == ["sea"]

    page.click(".card")
    assert page.is_visible("dialog") and '"format": "webp"' in page.text_content("dialog pre")
    links = page.eval_on_selector_all("dialog a", "links => links.map(link => link.getAttribute('href'))")
    assert links[1] == "loops/sea.webp" and all((store.root / link).is_file() for link in links)


def test_ten_thousand_rows_stay_smooth(out: tuple[LocalStore, list[Record]], page: Any) -> None:
    store, records = out
    done = records[:3]
    many = [
        {**done[i % 3], "row": i, "id": f"r{i}", "metrics": {**done[i % 3]["metrics"], "seam_ratio": 1 + i / MANY}}
        for i in range(MANY)
    ]
    for i in range(0, MANY, 20):
        many[i] = {**records[3], "row": i, "id": f"r{i}"}
    (store.root / "many.html").write_bytes(page_of(many))
    page.goto((store.root / "many.html").as_uri())
    assert page.text_content("#count") == f"{MANY} of {MANY} rows, {MANY // 20} failed"
    assert page.evaluate("document.querySelectorAll('.card').length") < 60
    sorting = page.evaluate(
        """() => { const before = performance.now();
            document.querySelector("#sort").value = "seam_ratio";
            document.querySelector("#sort").dispatchEvent(new Event("input"));
            return performance.now() - before; }"""
    )
    assert names(page)[0] == f"r{MANY - 1}"
    assert sorting < 1000
    # The whole way down in 200 steps: what a frame costs the page's own script and layout.
    costs = page.evaluate(
        """() => new Promise(resolve => {
            const costs = [], height = document.documentElement.scrollHeight;
            let step = 0;
            const next = () => {
                if (step++ === 200) { resolve(costs); return; }
                const before = performance.now();
                scrollTo(0, height * step / 200);
                layout();
                document.body.offsetHeight;
                costs.push(performance.now() - before);
                requestAnimationFrame(next);
            };
            next();
        })"""
    )
    assert np.median(costs) < 16, "milliseconds: 60 frames a second"
    assert page.evaluate("document.querySelectorAll('.card').length") < 60
    assert len(page.asked) < 20, "posters of what is seen, and no loop"
    last = names(page)[-1]
    assert last == f"r{MANY - 20}", "failures have no figure: last"
