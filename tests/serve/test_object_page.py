"""Nuclei in a real browser: counted, one merged, one split, one deleted, saved."""

import numpy as np
import pytest
from PIL import Image

from atrous.data.formats import read_values
from atrous.serve.object_session import ObjectSession
from tests.pages import MINUTE, opened, pixels, serving

pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")
pytest.importorskip("playwright.sync_api")

pytestmark = pytest.mark.slow
SIZE = (120, 160)


@pytest.fixture
def cells(tmp_path):
    """A data set of one image of eight round nuclei with their numbers, and a copy of these."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    numbers = np.zeros(SIZE, np.uint16)
    for number, (row, column) in enumerate(((y, x) for y in (30, 90) for x in (22, 60, 98, 136)), 1):
        numbers[np.hypot(rows - row, columns - column) < 12] = number
    image = np.where(numbers > 0, 180, 40) + np.random.default_rng(0).normal(0, 8, SIZE)
    for name, values in (("images", image.clip(0, 255).astype(np.uint8)), ("masks", numbers)):
        (tmp_path / "cells" / name).mkdir(parents=True)
        Image.fromarray(values).save(tmp_path / "cells" / name / "a.png")
    (tmp_path / "cells" / "dataset.toml").write_text('task = "instances"\n')
    return tmp_path / "cells", numbers


def middle(numbers, number):
    """The pixel of an object that is farthest from its border."""
    from scipy import ndimage

    return np.unravel_index(ndimage.distance_transform_edt(np.pad(numbers == number, 1))[1:-1, 1:-1].argmax(), SIZE)


def screen(page, row, column):
    """Where the middle of a pixel is on the screen."""
    box = page.locator("#object-canvas").bounding_box()
    left, top, width, height = map(float, page.get_attribute("#object-canvas", "data-placement").split(","))
    return box["x"] + left + (column + 0.5) * width / SIZE[1], box["y"] + top + (row + 0.5) * height / SIZE[0]


def click(page, place, **options):
    """Click on an object, and wait until the panel says that it is chosen."""
    before = page.inner_text("#objects-chosen")
    for key in options.get("keys", ()):
        page.keyboard.down(key)
    page.mouse.click(*screen(page, *place))
    for key in options.get("keys", ()):
        page.keyboard.up(key)
    page.wait_for_function("before => document.querySelector('#objects-chosen').innerText !== before", arg=before)


def counted(page, count):
    page.wait_for_selector(f"#objects-count:has-text('{count} objects')", timeout=MINUTE)


def test_nuclei_are_counted_merged_split_deleted_and_saved(browser, cells, tmp_path):
    root, numbers = cells
    session = lambda viewer: ObjectSession(root, viewer)  # noqa: E731
    mask = root / "masks" / "a.png"
    names = [int(value) for value in np.unique(numbers)[1:]]
    first, second, third, fourth = names[:4]
    with serving([root / "images"], tmp_path / "cache", objects=session) as link, opened(browser, link) as page:
        counted(page, len(names))
        page.wait_for_selector("#object-canvas[data-current='true']", timeout=MINUTE)
        x, y = (int(n) for n in screen(page, *middle(numbers, first)))
        box = page.locator("#object-canvas").bounding_box()
        assert pixels(page, "#object-canvas")[y - int(box["y"]), x - int(box["x"]), 3] > 0

        click(page, middle(numbers, first))
        click(page, middle(numbers, second), keys=["Shift"])
        page.click("#objects-merge")
        counted(page, len(names) - 1)
        want = numbers.copy()
        want[want == second] = first
        np.testing.assert_array_equal(read_values(mask), want)

        row, column = middle(numbers, third)
        page.keyboard.press("x")
        page.mouse.move(*screen(page, row - 20, column))
        page.mouse.down()
        page.mouse.move(*screen(page, row + 20, column), steps=8)
        page.mouse.up()
        counted(page, len(names))
        parts = np.unique(read_values(mask)[numbers == third])
        assert len(parts) == 2
        assert third in parts

        page.keyboard.press("s")
        click(page, middle(numbers, fourth))
        page.keyboard.press("Delete")
        counted(page, len(names) - 1)
        assert not read_values(mask)[numbers == fourth].any()
        page.keyboard.press("Control+z")
        counted(page, len(names))
        page.keyboard.press("Control+y")
        counted(page, len(names) - 1)
        assert "cells/masks/a.png" in page.inner_text("#objects-saved")
    assert len(np.unique(read_values(mask))) == len(names)  # with the background
