"""Painting in a real browser: two classes are painted, trained on, shown, saved and evaluated."""

import os

import numpy as np
import pytest
from PIL import Image

from atrous.data.formats import read_values
from atrous.labels import IGNORE
from atrous.serve.app import create_app
from atrous.serve.cache import CacheFolder
from atrous.serve.found import find_files
from atrous.serve.paint_place import PaintPlace
from atrous.serve.paint_session import PaintSession
from atrous.serve.viewer import Viewer
from atrous.verbs.evaluate import evaluate
from tests.pages import TOKEN, answering, opened, pixels

pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")
pytest.importorskip("playwright.sync_api")

pytestmark = pytest.mark.slow
SIZE = (90, 120)


@pytest.fixture
def served(tmp_path):
    """A server with two gray images, each with a bright disc; the link, and the session."""
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    for number in range(2):
        disc = np.hypot(rows - 45, columns - 60) < 25 + 3 * number
        image = (60 + 130 * disc + rng.normal(0, 8, SIZE)).clip(0, 255).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / "in" / f"{number}.png")
    viewer = Viewer(find_files([tmp_path / "in"], None, print), CacheFolder(tmp_path / "cache"))
    session = PaintSession(tmp_path / "painted", viewer, runs=tmp_path / "runs")
    with answering(create_app(viewer, TOKEN, frozenset({"127.0.0.1"}), painting=session)) as link:
        yield link, session


@pytest.fixture
def page(browser, served):
    with opened(browser, served[0]) as page:
        page.wait_for_selector("#paint-tools")
        yield page


def screen(page, row, column):
    """Where a position of the image is on the screen."""
    box = page.locator("#paint-canvas").bounding_box()
    scale = min(box["width"] / SIZE[1], box["height"] / SIZE[0])
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    return middle[0] + (column - SIZE[1] / 2) * scale, middle[1] + (row - SIZE[0] / 2) * scale


def draw(page, *points):
    page.mouse.move(*screen(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*screen(page, *point), steps=8)
    page.mouse.up()


def settled(page, session, number, revision):
    """Wait until the server has drawn as many strokes as were painted."""
    for _ in range(600):
        if session.image(number).revision >= revision:
            return
        page.wait_for_timeout(50)
    raise AssertionError(session.image(number).revision)


def name_classes(page, *names):
    for number, name in enumerate(names):
        page.fill('#paint input[placeholder="New class"]', name)
        page.keyboard.press("Enter")
        page.wait_for_selector(f'#paint-classes input[aria-label^="Name of class"] >> nth={number}')
    page.evaluate("document.activeElement.blur()")


def paint_first(page, session, root):
    """Paint the disc and the ground of the first image, one stroke too many, which is undone."""
    page.keyboard.press("2")
    page.keyboard.press("]")
    draw(page, (45, 50), (45, 70), (50, 60))
    page.keyboard.press("1")
    draw(page, (8, 10), (8, 110))
    draw(page, (80, 10), (80, 110))
    settled(page, session, 0, 3)
    mask = read_values(root / "masks" / "0.png")
    assert mask[45, 60] == 1
    assert (mask[8, 20:100] == 0).all()
    assert mask[25, 20] == IGNORE
    draw(page, (20, 20), (20, 30))
    settled(page, session, 0, 4)
    page.keyboard.press("Control+z")
    settled(page, session, 0, 5)
    assert read_values(root / "masks" / "0.png")[20, 25] == IGNORE
    page.wait_for_timeout(500)
    assert pixels(page, "#paint-canvas")[..., 3].any()


def paint_second(page, session):
    page.keyboard.press("n")
    page.wait_for_selector('#stage[data-input="1"]', timeout=60000)
    page.wait_for_timeout(500)
    page.keyboard.press("2")
    draw(page, (45, 50), (45, 70))
    page.keyboard.press("1")
    draw(page, (8, 10), (8, 110))
    settled(page, session, 1, 2)


def shoot(page, name):
    if folder := os.environ.get("ATROUS_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def test_two_classes_are_painted_trained_on_saved_and_evaluated(page, served, tmp_path):
    _, session = served
    page.wait_for_timeout(500)
    name_classes(page, "ground", "disc")
    paint_first(page, session, tmp_path / "painted")
    paint_second(page, session)
    page.keyboard.press("r")
    page.wait_for_selector('#status[data-state="exact"]', timeout=120000)
    page.wait_for_selector("#paint-curves:not([hidden])", timeout=60000)
    shoot(page, "paint-desk")
    page.click("#paint-train")
    page.wait_for_selector("#paint-train:has-text('Train')", timeout=60000)
    page.fill("#paint-save input", "discs")
    page.click("#paint-save button")
    page.wait_for_selector("#paint-saved:has-text('discs')")
    page.click("#paint-where")
    page.wait_for_timeout(1000)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    shoot(page, "paint-phone")
    page.click("#theme")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.wait_for_timeout(500)
    shoot(page, "paint-dark")
    measured = evaluate(tmp_path / "runs" / "discs", tmp_path / "painted", split="all").scores
    assert measured.classes == ("ground", "disc")


def test_painting_begins_on_the_page(browser, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(folder / "a.png")
    viewer = Viewer(find_files([folder], None, print), CacheFolder(tmp_path / "cache"))
    place = PaintPlace(parent=folder, make=lambda root: PaintSession(root, viewer, runs=tmp_path / "runs"))
    app = create_app(viewer, TOKEN, frozenset({"127.0.0.1"}), painting=place)
    with answering(app) as link, opened(browser, link) as page:
        page.click("#paint-begin summary")
        page.fill("#paint-begin input", "cells")
        page.click("#paint-begin button")
        page.wait_for_selector("#paint-tools")
        assert page.locator("#paint-begin").count() == 0
        page.wait_for_timeout(500)
        name_classes(page, "ground")
        draw(page, (8, 10), (8, 110))
        settled(page, place.session, 0, 1)
        assert (read_values(folder / "cells" / "masks" / "a.png")[8, 20:100] == 0).all()
