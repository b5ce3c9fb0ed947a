"""Painting in a real browser: two classes are painted, trained on, shown, saved and evaluated."""

import contextlib
import os

import numpy as np
import pytest
from PIL import Image

from atrous.data.formats import read_values
from atrous.labels import IGNORE
from atrous.serve.app import create_app
from atrous.serve.cache import CacheFolder
from atrous.serve.found import find_files
from atrous.serve.paint_folder import PaintClass, PaintedFolder, live_folder
from atrous.serve.paint_place import PaintPlace
from atrous.serve.paint_session import PaintSession
from atrous.serve.viewer import Viewer
from atrous.verbs.evaluate import evaluate
from benchmarks.crashes import make_grid_run
from tests.pages import TOKEN, answering, exact, opened, pixels

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
    assert pixels(page, "#paint-curves")[..., :3].max() > 150  # light on dark
    measured = evaluate(tmp_path / "runs" / "discs", tmp_path / "painted", split="all").scores
    assert measured.classes == ("ground", "disc")


@contextlib.contextmanager
def beginning(browser, folder, *names):
    """The page, on which painting begins in the folder `cells` of the opened one; and where that is."""
    shown = [folder / name for name in names] or [folder]
    viewer = Viewer(find_files(shown, None, print), CacheFolder(folder.parent / "cache"))
    place = PaintPlace(parent=folder, make=lambda root: PaintSession(root, viewer, runs=folder.parent / "runs"))
    app = create_app(viewer, TOKEN, frozenset({"127.0.0.1"}), painting=place)
    with answering(app) as link, opened(browser, link) as page:
        page.click("#paint-begin summary")
        page.fill("#paint-begin input", "cells")
        page.click("#paint-begin button")
        page.wait_for_selector("#paint-tools")
        yield page, place


@pytest.fixture
def black(tmp_path):
    """A folder with a black image."""
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / "in" / "a.png")
    return tmp_path / "in"


def test_painting_begins_on_the_page(browser, black):
    with beginning(browser, black) as (page, place):
        assert page.locator("#paint-begin").count() == 0
        page.wait_for_timeout(500)
        name_classes(page, "ground")
        draw(page, (8, 10), (8, 110))
        settled(page, place.session, 0, 1)
        assert (read_values(black / "cells" / "masks" / "a.png")[8, 20:100] == 0).all()


def test_painting_goes_on_with_the_network_that_was_trained_before(browser, black):
    root = black / "cells"
    PaintedFolder(root, [PaintClass("ground", (9, 9, 9)), PaintClass("disc", (200, 0, 0))]).close()
    make_grid_run(live_folder(root), ndim=2, task={"classes": ["ground", "disc"]})
    with beginning(browser, black) as (page, _):
        page.wait_for_selector("#run-name:has-text('live')")
        exact(page)


MOVES = """([name, isPrimary, places]) => {
    const events = places.map(([clientX, clientY]) => new PointerEvent(name, { clientX, clientY, isPrimary }));
    const [clientX, clientY] = places[places.length - 1];
    const options = { clientX, clientY, isPrimary, pointerId: isPrimary ? 1 : 99, coalescedEvents: events };
    document.querySelector('#paint-canvas').dispatchEvent(new PointerEvent(name, options));
}"""


def test_a_long_stroke_is_divided_and_a_second_finger_changes_nothing(page, served, tmp_path):
    """2500 moves come in one event, while a second finger touches the screen and leaves it."""
    _, session = served
    page.wait_for_timeout(500)
    name_classes(page, "ground")
    sent = []
    page.on("request", lambda one: sent.append(one.post_data_json) if one.url.endswith("/strokes") else None)
    page.mouse.move(*screen(page, 10, 10))
    page.mouse.down()
    for name in ("pointerdown", "pointermove", "pointercancel"):
        page.evaluate(MOVES, [name, False, [screen(page, 70, 60)]])
    places = [screen(page, 10 + 0.4 * (n % 2), 10 + n / 25) for n in range(2500)]
    page.evaluate(MOVES, ["pointermove", True, places])
    page.mouse.up()
    settled(page, session, 0, 2)
    counts = [len(stroke["points"]) for stroke in sent]
    assert counts[0] == 2000
    assert 500 <= counts[1] <= 504
    assert len(counts) == 2
    mask = read_values(tmp_path / "painted" / "masks" / "0.png")
    assert (mask[10, 10:109] == 0).all()
    assert (mask[30:] == IGNORE).all()


def test_a_class_is_renamed_and_another_one_added_at_once(page, served):
    _, session = served
    page.wait_for_timeout(500)
    name_classes(page, "ground")
    page.evaluate("""() => {
        const name = document.querySelector('#paint-classes input[aria-label="Name of class 1"]');
        name.value = 'sky';
        name.dispatchEvent(new Event('change'));
        const form = document.querySelector('#paint form');
        form.querySelector('input').value = 'disc';
        form.requestSubmit();
    }""")
    page.wait_for_selector('#paint-classes input[aria-label="Name of class 2"]')
    assert [one.name for one in session.folder.classes] == ["sky", "disc"]


def test_nothing_is_undone_while_a_signal_is_shown(browser, black):
    rows = [f"{number / 100},{number % 7}" for number in range(500)]
    (black / "b.csv").write_text("\n".join(["seconds,level", *rows]) + "\n")
    with beginning(browser, black, "a.png", "b.csv") as (page, place):
        page.wait_for_timeout(500)
        name_classes(page, "ground")
        draw(page, (8, 10), (8, 110))
        settled(page, place.session, 0, 1)
        page.keyboard.press("n")
        page.wait_for_selector("#viewer.special", state="attached", timeout=20000)  # in place of a plane of an image
        assert page.is_disabled("#paint button:has-text('Undo')")
        page.keyboard.press("Control+z")
        page.wait_for_timeout(500)
        assert place.session.image(0).revision == 1
        page.keyboard.press("p")
        page.wait_for_selector("#paint button:has-text('Undo'):not([disabled])")
        page.keyboard.press("Control+z")
        settled(page, place.session, 0, 2)
        assert (read_values(black / "cells" / "masks" / "a.png") == IGNORE).all()
