"""How long a stroke takes to appear under the hand, in a real browser, while the page trains.

    python -m benchmarks.serve_latency --seconds 60

Makes scenes and a run, starts `atrous serve SCENES --run RUN --paint FOLDER`, opens the page in an installed Chromium
(Playwright), paints two classes, starts the training, and goes on painting: every `pointermove` of the brush is timed
from the event to the frame after it, when what it drew is on the screen. Prints 50, 95 and 99 % of these times before
the training and while it runs, and how many strokes the server had drawn at the end.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serve_user import make_scenes, percentiles, started_server

PROBE = """() => {
  window.latencies = [];
  addEventListener("pointermove", (event) => {
    if (event.target.id !== "paint-canvas" || event.buttons === 0) return;
    const { timeStamp } = event;
    requestAnimationFrame(() => {
      const channel = new MessageChannel();  // its message comes after the frame was drawn
      channel.port1.onmessage = () => window.latencies.push(performance.now() - timeStamp);
      channel.port2.postMessage(null);
    });
  }, true);
}"""


def paint(page: Any, rng: np.random.Generator, seconds: float) -> tuple[list[float], int]:
    """Paint strokes for some time; the milliseconds of every move, and the number of strokes."""
    page.evaluate("() => { window.latencies = []; }")
    box = page.locator("#paint-canvas").bounding_box()
    middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    end, strokes = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        page.keyboard.press(str(1 + strokes % 2))
        at = middle + rng.uniform(-200, 200, 2)
        page.mouse.move(*at)
        page.mouse.down()
        for _ in range(25):
            at = at + rng.normal(0, 12, 2)
            page.mouse.move(*at)
            time.sleep(0.015)  # about as often as a mouse reports
        page.mouse.up()
        strokes += 1
    page.wait_for_timeout(500)
    return [float(value) for value in page.evaluate("window.latencies")], strokes


def main() -> None:
    """See the module."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0, help="of painting before and while it trains")
    options = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("no chromium or google-chrome on PATH")
    with tempfile.TemporaryDirectory() as text, sync_playwright() as playwright:
        folder = Path(text)
        images, run = make_scenes(folder)
        given = ("--run", str(run), "--paint", str(folder / "painted"))
        with started_server([str(images)], folder, *given) as (facts, _):
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(facts["link"])
            page.wait_for_selector('#stage[data-input="0"]', timeout=60000)
            page.wait_for_selector("#paint-tools")
            page.evaluate(PROBE)
            rng = np.random.default_rng(0)
            before, first = paint(page, rng, options.seconds / 4)
            page.keyboard.press("r")
            page.wait_for_selector("#paint-state:has-text('step')", timeout=300000)
            during, second = paint(page, rng, options.seconds)
            state = page.inner_text("#paint-state")
            revision = page.evaluate(
                "token => fetch('api/paint/inputs/0', {headers: {Authorization: `Bearer ${token}`}})"
                ".then(answer => answer.json()).then(facts => facts.revision)",
                facts["token"],
            )
            browser.close()
    before_ms, during_ms = (percentiles([value / 1000 for value in times]) for times in (before, during))
    print(f"before the training: 50, 95, 99 %: {before_ms} ms of {len(before)} moves in {first} strokes")
    print(f"while it trains:     50, 95, 99 %: {during_ms} ms of {len(during)} moves in {second} strokes ({state})")
    print(json.dumps({"before_ms": before_ms, "training_ms": during_ms, "strokes": first + second, "drawn": revision}))


if __name__ == "__main__":
    main()
