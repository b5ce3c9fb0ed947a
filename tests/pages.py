"""The page of `atrous serve` in a real browser, for tests: a server that runs, a window, and what is on the screen."""

import base64
import contextlib
import io
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from atrous.serve.app import STATIC, create_app
from atrous.serve.cache import CacheFolder
from atrous.serve.found import find_files
from atrous.serve.server import listen
from atrous.serve.viewer import Viewer

TOKEN = "a-token-of-24-letters"
MINUTE = 60_000


@contextlib.contextmanager
def launched():
    """An installed Chromium; skips where there is none, or where the page is not built."""
    sync_api = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no chromium or google-chrome on PATH")
    if not (STATIC / "index.html").exists():
        pytest.skip("the page is not built: make page")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@contextlib.contextmanager
def answering(app):
    """A server that runs an application; its link."""
    uvicorn = pytest.importorskip("uvicorn")
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", http="h11", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/#token={TOKEN}"
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()


@contextlib.contextmanager
def serving(files, cache, predictor=None, **sessions):
    """A server that shows files, and labels them with a network; its link.

    Each of `sessions` is an argument of `create_app`, made from the viewer.
    """
    viewer = Viewer(find_files(files, predictor, print), CacheFolder(cache), predictor)
    made = {name: make(viewer) for name, make in sessions.items()}
    with answering(create_app(viewer, TOKEN, frozenset({"127.0.0.1"}), **made)) as link:
        yield link


@contextlib.contextmanager
def opened(browser, link):
    """The page in a new window; nothing may go wrong in it, and nothing may be asked of another server."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    page = context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.on(
        "request",
        lambda request: (
            wrong.append(request.url) if not request.url.startswith(("http://127.0.0.1", "blob:", "data:")) else None
        ),
    )
    page.goto(link)
    page.wait_for_selector('#stage[data-input="0"]', timeout=MINUTE)
    yield page
    context.close()
    assert wrong == []


def exact(page):
    """Wait until the page says that the labels in view are exact."""
    sync_api = pytest.importorskip("playwright.sync_api")
    try:
        page.wait_for_selector('#status[data-state="exact"]', timeout=2 * MINUTE)
    except sync_api.TimeoutError:
        names = ("#status", "#message", "#label-problem", "#known-text")
        said = {name: page.locator(name).text_content() for name in names}
        raise AssertionError(f"{said}, {page.get_attribute('.overlay', 'data-placement')}") from None


def pixels(page, canvas):
    """The colors `(h, w, 4)` of a canvas."""
    data = page.locator(canvas).first.evaluate("canvas => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))))


def shown_labels(page, palette, shape, overlay=".overlay"):
    """The labels on the screen, read in the middle of the pixel of each label, and which rows and columns they are."""
    left, top, width, height = map(float, page.locator(overlay).first.get_attribute("data-placement").split(","))
    colors = pixels(page, overlay)
    size = (colors.shape[1], colors.shape[0])
    places = ((top, height / shape[0], size[1], shape[0]), (left, width / shape[1], size[0], shape[1]))
    rows, columns = (
        np.arange(max(0, int(np.ceil(-start / scale))), min(count, int((length - start) / scale)))
        for start, scale, length, count in places
    )
    y = (top + (rows + 0.5) * height / shape[0]).astype(int)
    x = (left + (columns + 0.5) * width / shape[1]).astype(int)
    seen = colors[np.ix_(y, x)]
    labels = np.full(seen.shape[:2], 255)
    for number, color in enumerate(palette):
        labels[(seen[..., :3] == color).all(-1) & (seen[..., 3] == 255)] = number
    return labels, rows, columns


def facts_of(page):
    """What the position panel says."""
    names, values = (page.locator(f"#readout {tag}").all_inner_texts() for tag in ("dt", "dd"))
    return dict(zip(names, values, strict=True))
