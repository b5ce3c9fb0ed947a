"""The page in a real browser: look, zoom, see labels that are those of the whole image, click, switch and save."""

import re
import runpy
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
import zarr
from PIL import Image

from atrous.prediction.jobs import find_jobs, run_jobs
from atrous.prediction.predictor import load
from atrous.verbs.evaluate import open_split
from benchmarks.crashes import make_grid_run
from tests.genomes import random_bases, write_fasta, write_gff
from tests.pages import TOKEN, exact, facts_of, opened, serving, shown_labels

pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")
pytest.importorskip("playwright.sync_api")

pytestmark = pytest.mark.slow
SIZE = (700, 900)


@pytest.fixture(scope="module")
def served(digits, trained, tmp_path_factory):
    """A server with an image that is streamed, and one that is not; the link, and the labels of the first."""
    folder = tmp_path_factory.mktemp("page")
    scenes = [np.asarray(Image.open(path)) for path in sorted((digits / "images" / "train").iterdir())]
    rng = np.random.default_rng(0)
    rows = [np.concatenate([scenes[n] for n in rng.integers(0, len(scenes), 15)], axis=1) for _ in range(11)]
    image = np.moveaxis(np.concatenate(rows)[: SIZE[0], : SIZE[1]], -1, 0)
    zarr.create_array(folder / "in" / "large.zarr", data=np.ascontiguousarray(image), chunks=(3, 256, 256))
    Image.fromarray(scenes[0]).save(folder / "in" / "small.png")
    predictor = load(trained, dtype=torch.float32, memory="1GB")
    jobs = find_jobs(predictor, [folder / "in" / "large.zarr"], folder / "out")
    written = run_jobs(predictor, jobs, folder).written
    want = zarr.open_array(written[0], mode="r")[...]
    with serving([folder / "in"], folder / "cache", predictor) as link:
        yield link, want, predictor


@pytest.fixture
def page(browser, served):
    with opened(browser, served[0]) as page:
        yield page


def test_labels_on_the_page_are_those_of_the_whole_image(page, served):
    _, want, predictor = served
    assert page.inner_text("#title") == "large.zarr"
    assert page.url.endswith("/")  # the token is out of the address bar
    page.click("#all-classes")
    for _ in range(4):
        page.keyboard.press("+")
        page.wait_for_timeout(100)
    for key in ("ArrowRight", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    page.wait_for_timeout(600)
    exact(page)
    labels, rows, columns = shown_labels(page, predictor.palette, SIZE)
    assert len(rows) > 100
    assert len(columns) > 100
    np.testing.assert_array_equal(labels, want[np.ix_(rows, columns)])
    assert len(np.unique(labels)) > 1


def test_a_click_says_values_class_and_probability(page, served):
    _, want, predictor = served
    assert page.inner_text("#scale-text").endswith(" px")
    page.mouse.click(800, 450)
    page.wait_for_selector(".bars li", timeout=60000)
    text = page.inner_text("#readout")
    row, column = map(int, re.search(r"Row, column\s+(\d+), (\d+)", text).groups())
    assert predictor.classes[want[row, column]] in re.search(r"Class\s+(.+)", text)[1]
    assert text.count("%") >= 2
    assert page.locator("#marker").count() == 1


def test_classes_opacity_and_labels_are_switched_at_once(page):
    page.keyboard.press("1")
    exact(page)
    page.click("#no-classes")
    blank = """() => {
        const canvas = document.querySelector('.overlay');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return data.every(level => level === 0);
    }"""
    assert page.evaluate(blank)
    page.click("#all-classes")
    assert not page.evaluate(blank)
    page.keyboard.press("l")
    assert page.evaluate(blank)
    assert not page.is_checked("#labels-on")
    page.keyboard.press("l")
    page.fill("#opacity", "100")
    assert page.evaluate("document.querySelector('.overlay').style.opacity") == "1"


def test_an_answer_about_the_file_before_changes_nothing(page):
    page.wait_for_selector("#known-text:not(:empty)")
    held = []

    def hold(route):
        held.append(route)

    page.route("**/fill?**", hold)
    page.evaluate("document.querySelector('#fill').click()")
    while not held:
        page.wait_for_timeout(50)
    page.keyboard.press("n")
    page.wait_for_selector('#stage[data-input="1"]', timeout=60000)
    exact(page)
    page.wait_for_selector("#known-text:has-text('100 %')")
    late = {
        "state": "ready", "problem": "", "size": SIZE, "planes": [[SIZE, [350, 450], [175, 225]]], "whole": False,
        "known": 0.25, "complete": False, "read": 1, "filling": True, "version": 99,
    }  # fmt: skip
    with page.expect_response("**/fill?**"):
        held[0].fulfill(json=late)
    page.wait_for_timeout(300)
    assert page.inner_text("#known-text") == "100 %"


def test_a_file_that_cannot_be_opened_is_passed_by(browser, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "c"):
        Image.fromarray(np.zeros((20, 30), np.uint8)).save(folder / f"{name}.png")
    (folder / "b.png").write_bytes(b"damaged")
    with serving([folder], tmp_path / "cache") as link, browser.new_context() as context:
        page = context.new_page()
        page.goto(link)
        page.wait_for_selector('#stage[data-input="0"]', timeout=60000)
        page.keyboard.press("n")
        page.wait_for_selector("#message:not([hidden])")
        assert page.inner_text("#title") == "a.png"  # which is still shown
        page.keyboard.press("n")
        page.wait_for_selector('#stage[data-input="2"]', timeout=60000)
        assert page.inner_text("#title") == "c.png"


def test_everything_is_labeled_and_saved(page, served, tmp_path):
    page.wait_for_selector("#known-text:not(:empty)")
    if page.is_visible("#fill"):
        page.click("#fill")
    page.wait_for_selector("#save-tif", timeout=60000)
    with page.expect_download() as saved:
        page.click("#save-png")
    assert saved.value.suggested_filename == "large_labels.png"
    saved.value.save_as(tmp_path / "labels.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "labels.png")), served[1])


def test_another_file_another_contrast_and_the_width_of_a_phone(page):
    page.keyboard.press("n")
    page.wait_for_selector('#stage[data-input="1"]', timeout=60000)
    assert page.inner_text("#title") == "small.png"
    exact(page)
    tiles = []
    page.on("request", lambda request: tiles.append(request.url) if "/tiles/" in request.url else None)
    page.locator("#channel-list input[type=number]").nth(1).fill("100")
    page.keyboard.press("Enter")
    page.wait_for_timeout(600)
    assert any("0%3A0%3A100%3Aff0000" in url for url in tiles)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("document.querySelector('#stage').getBoundingClientRect().width") == 390
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 27)"


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory):
    """The link of a server without a network: a recording and a genome."""
    folder = tmp_path_factory.mktemp("looked")
    rows = [f"{0.5 * n},{n},{(7 * n) % 50}" for n in range(4000)]
    (folder / "a.csv").write_text("\n".join(["seconds,ramp,saw", *rows]) + "\n")
    texts = {"chr1": random_bases(np.random.default_rng(0), 5000), "chr2": "ACGT" * 100}
    write_fasta(folder / "c.fa.gz", texts)
    write_gff(folder / "c.gff", [("chr1", "CDS", 1001, 1300, "-", "ID=a")])
    with serving([folder / name for name in ("a.csv", "c.fa.gz")], folder / "cache") as link:
        yield link, texts


def test_a_recording_is_moved_and_read(browser, looked_at):
    with opened(browser, looked_at[0]) as page:
        page.wait_for_selector('#lines[data-loaded="0:0"]')
        assert page.locator(".curve").count() == 2
        page.fill("#jump", "100-110")
        page.keyboard.press("Enter")
        page.wait_for_selector('#lines[data-loaded="0:0"]')
        page.mouse.move(800, 300)
        facts = facts_of(page)
        sample = int(facts["Sample"])
        assert 200 <= sample < 220
        assert (facts["Time"], facts["ramp"], facts["saw"]) == (
            f"{sample / 2:.1f} s",
            str(sample),
            str(7 * sample % 50),
        )
        page.keyboard.press("0")
        page.wait_for_selector('#lines[data-loaded="0:0"]')
        page.mouse.move(801, 300)
        assert re.fullmatch(r"\d+ to \d+", facts_of(page)["ramp"])
        assert page.input_value("#jump") == "0-2000"


def test_a_genome_is_jumped_into(browser, looked_at):
    with opened(browser, looked_at[0]) as page:
        page.keyboard.press("n")
        page.wait_for_selector('#lines[data-loaded="1:0"]')
        page.fill("#jump", "chr1:1,100-1,180")
        with page.expect_response(re.compile(r"/letters\?")) as answer:
            page.keyboard.press("Enter")
        found = answer.value.json()
        assert found["letters"] == looked_at[1]["chr1"][found["start"] : found["start"] + len(found["letters"])]
        page.wait_for_selector('#lines[data-loaded="1:0"]')
        page.mouse.move(800, 300)
        facts = facts_of(page)
        assert 1100 <= int(facts["Base"].replace(",", "")) <= 1180
        assert facts["CDS -"] == "1,001-1,300 (annotated)"
        page.fill("#jump", "chr2")
        page.keyboard.press("Enter")
        page.wait_for_selector('#lines[data-loaded="1:1"]')
        assert page.input_value("#jump") == "chr2:1-400"


def test_three_planes_are_linked_and_labeled(browser, tmp_path):
    volume = np.random.default_rng(0).integers(0, 256, (30, 20, 10)).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([1, 1, 3, 1])), tmp_path / "a.nii.gz")
    make_grid_run(tmp_path / "run", ndim=3)
    predictor = load(tmp_path / "run", dtype=torch.float32)
    want = predictor.predict(tmp_path / "a.nii.gz").labels
    with serving([tmp_path / "a.nii.gz"], tmp_path / "cache", predictor) as link, opened(browser, link) as page:
        page.keyboard.press("v")
        page.wait_for_selector('#planes[data-input="0"]')
        slices = lambda: [int(pane.get_attribute("data-index")) for pane in page.locator(".pane").all()]  # noqa: E731
        assert slices() == [4, 9, 14]
        box = page.locator(".pane").nth(1).bounding_box()
        page.mouse.click(box["x"] + 0.55 * box["width"], box["y"] + 0.4 * box["height"])
        page.locator("#readout dd").nth(2).wait_for()
        row, column = map(int, re.match(r"(\d+), (\d+) of slice 9", facts_of(page)["Row, column"]).groups())
        assert slices() == [row, 9, column]  # the planes across the other axes go through the click
        assert int(facts_of(page)["Value"]) == volume.T[row, 9, column]
        page.keyboard.press("y")
        for _ in range(3):
            page.keyboard.press(".")
        assert slices() == [row, 12, column]
        page.click("#all-classes")
        exact(page)
        for axis, index in enumerate(slices()):
            plane = want.take(index, axis)
            found = shown_labels(page, predictor.palette, plane.shape, f'.pane[data-letter="{"ZYX"[axis]}"] .overlay')
            labels, rows, columns = found
            assert len(rows) * len(columns) > 80
            np.testing.assert_array_equal(labels, plane[np.ix_(rows, columns)])
        assert page.locator(".pane-scale", has_text="mm").count() == 3


def test_labels_of_a_recording_are_those_of_the_whole(browser, tmp_path):
    make_grid_run(tmp_path / "run", ndim=1)
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 256, 30_000).astype(np.uint8))
    predictor = load(tmp_path / "run", dtype=torch.float32)
    want = predictor.predict(tmp_path / "a.npy", probabilities=True)
    with serving([tmp_path / "a.npy"], tmp_path / "cache", predictor) as link, opened(browser, link) as page:
        page.fill("#jump", "15000-15040")
        page.keyboard.press("Enter")
        exact(page)
        page.wait_for_selector('#lines[data-loaded="0:0"]')
        for x in (500, 800, 1100):
            page.mouse.move(x, 300)
            facts = facts_of(page)
            sample = int(facts["Sample"].replace(",", ""))
            assert facts["Class"] == predictor.classes[want.labels[sample]]
            first = page.locator(".bars li").first.inner_text().split()
            best = int(want.probabilities[:, sample].argmax())
            assert first[0] == predictor.classes[best]
            assert float(first[1]) == pytest.approx(100 * want.probabilities[best, sample], abs=0.2)


def test_the_worst_sample_of_the_evaluation_is_opened_with_its_true_labels(page, served, trained):
    page.click("#evaluation summary")
    page.wait_for_selector("#worst button")
    assert page.locator("#worst button").count() == 3
    name = page.locator("#worst button span").first.inner_text()
    page.locator("#worst button").first.click()
    page.locator("#title", has_text=name).wait_for()
    page.wait_for_selector("#show-truth:visible")
    page.keyboard.press("t")
    page.click("#all-classes")
    exact(page)
    assert page.inner_text("#status").endswith("True labels")
    _, samples = open_split(served[2], None, None, "val")
    want = next(sample for sample in samples if sample.name == name).target.read()
    labels, rows, columns = shown_labels(page, served[2].palette, want.shape)
    assert len(rows) > 40
    np.testing.assert_array_equal(labels, want[np.ix_(rows, columns)])
    page.click("#confusion")
    assert page.locator(".confusion tbody tr").count() == len(served[2].classes)
    assert "report?token=" in page.locator("#evaluation a").get_attribute("href")


def test_the_example_of_another_program(served, tmp_path):
    address = served[0].split("/#")[0]
    example = runpy.run_path(str(Path(__file__).resolve().parents[2] / "examples" / "serve_client.py"))
    classes = example["main"](address, TOKEN, str(tmp_path / "labels.png"))
    assert tuple(classes) == served[2].classes
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "labels.png")), served[1])


def test_without_the_token_the_page_says_what_to_do(browser, served):
    context = browser.new_context()
    page = context.new_page()
    page.goto(served[0].split("#")[0])
    page.wait_for_selector("#message:not([hidden])")
    assert "use the link that atrous serve has printed" in page.inner_text("#message")
    context.close()
