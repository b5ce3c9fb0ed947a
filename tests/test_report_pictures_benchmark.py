"""What `benchmarks/report_pictures.py` finds wrong with a page, and what it saves of it."""

import shutil

import pytest
from PIL import Image

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import sync_playwright

from benchmarks.report_pictures import looked_at

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no chromium or google-chrome on PATH")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


def test_a_report_is_photographed_and_nothing_is_wrong_with_it(browser, trained, tmp_path):
    assert looked_at(browser, trained / "report.html", tmp_path, "digits") == []
    saved = {path.name for path in tmp_path.iterdir()}
    pictures = {f"digits_{width}_{scheme}.png" for width in (1440, 390) for scheme in ("light", "dark")}
    assert saved == {*pictures, "digits.pdf"}
    light, dark = (Image.open(tmp_path / f"digits_1440_{scheme}.png").convert("L") for scheme in ("light", "dark"))
    assert light.width == dark.width == 1440
    assert light.getpixel((0, 0)) > 240
    assert dark.getpixel((0, 0)) < 40


def test_what_is_wrong_with_a_page_is_told(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<p style='width: 1500px'>wide</p><img src='none.png'><ul></ul><script>nothing()</script>")
    wrong = "; ".join(looked_at(browser, page, tmp_path, "page"))
    for said in (
        "wider than the window (390, dark)",
        "1 pictures without a text",
        "empty: ul",
        "nothing is not defined",
    ):
        assert said in wrong
