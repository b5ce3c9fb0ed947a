import base64
import hashlib
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from atrous.color import default_palette
from atrous.labels import IGNORE
from atrous.report.page import Example, Measured, ReportContent, write_report
from atrous.report.pictures import channel_scales, colorize, to_rgb
from atrous.tasks.confidence import ConfidenceCounter
from atrous.tasks.metrics import SegmentationMetrics

CLASSES = ["background", "cell <b>&amp;", "nucleus"]
SECTIONS = ["metrics", "learning", "classes", "confusion", "calibration", "samples", "data", "recipe"]
SECTIONS += ["environment", "commands"]


def content(shape=(24, 32), **changes):
    generator = torch.Generator().manual_seed(0)
    metrics, examples = SegmentationMetrics(CLASSES), []
    for name in ("good/a", "bad/b"):
        target = torch.randint(3, shape, generator=generator).to(torch.uint8)
        logits = torch.randn(3, *shape, generator=generator)
        probabilities = (logits + 2 * torch.nn.functional.one_hot(target.long(), 3).movedim(-1, 0)).softmax(0)
        target.view(-1)[:9] = IGNORE
        metrics.update(name, probabilities, target)
        image = torch.rand((2, *shape), generator=generator).numpy()
        prediction = probabilities.argmax(0).to(torch.uint8).numpy()
        examples.append(Example(name, image, target.numpy(), prediction, 0.5, "best" if "good" in name else "worst"))
    common = {"step": 1, "epoch": 0}
    history = [
        common | {"seconds": "10", "split": "train", "loss": "2.0", "learning_rate": "0.001", "miou": ""},
        common | {"seconds": "70", "split": "train", "loss": "1.0", "learning_rate": "0.0", "miou": ""},
        common | {"seconds": "80", "split": "val", "loss": "1.2", "learning_rate": "", "miou": "0.5"},
    ]
    report_content = ReportContent(
        title="cells <script>alert(1)</script>",
        verdict={"Training time": "2 min", "Images per second": 12.5, "training": "2 minutes, best at step 120 of 130"},
        history=history,
        scores=metrics.result(1.0),
        palette=default_palette(3),
        examples=examples,
        recipe_toml='[data]\nroot = "cells"\n',
        environment={"torch": "2.9", "packages": {"numpy": "2.0"}, "threads": 2},
        commands=["atrous train cells", "atrous evaluate runs/cells cells"],
        data_summary="2 images <of> 24x32",
        plan_reasons=["The crop is small because the images are."],
    )
    return replace(report_content, **changes)


def written(folder, report_content):
    write_report(folder / "report.html", report_content)
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return written(tmp_path_factory.mktemp("page"), content())


class Outline(HTMLParser):
    """Collects ids, levels of headings, images and references; elements that are not closed stay in `open`."""

    EMPTY = frozenset({"meta", "link", "img", "source"})

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.levels, self.images, self.references = [], [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.references += [attrs[key] for key in ("src", "srcset", "href") if key in attrs]
        if tag == "img":
            self.images.append(attrs)
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("shape", [(50,), (24, 32), (6, 9, 8)])
def test_page_is_well_formed_complete_and_self_contained(tmp_path, shape):
    outline = Outline(written(tmp_path, content(shape)))
    assert outline.open == []
    assert outline.ids == SECTIONS
    assert outline.levels[0] == 1
    assert all(after - before <= 1 for before, after in zip(outline.levels, outline.levels[1:], strict=False))
    assert all(reference.startswith(("data:", "#")) for reference in outline.references)
    views = 3 if len(shape) == 1 else 4  # a curve lies over its labels
    assert len(outline.images) == 2 * (3 + 1 + 1) + 2 + 2 * views  # charts are light and dark, one is small too
    assert all(image["alt"] for image in outline.images)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_names_from_outside_are_text_not_markup(page):
    assert page.count("<script") == 1
    assert "<script>alert" not in page
    assert "<title>cells &lt;script&gt;" in page
    assert "cell &lt;b&gt;&amp;amp;" in page
    assert "<of>" not in page


def test_everything_that_was_passed_in_stands_on_the_page(page):
    expected_content, html = content(), unescape(page)
    scores = expected_content.scores
    shown = [
        *expected_content.verdict,
        "12.5",
        expected_content.verdict["training"],
        *expected_content.commands,
        *expected_content.plan_reasons,
        expected_content.recipe_toml,
        expected_content.data_summary,
    ]
    shown += [*CLASSES, "numpy 2.0", scores.conventions, *(f"{v:.3f}" for v in (*scores.iou, *scores.miou_ci95))]
    for text in shown:
        assert text in html, text


def test_the_browser_runs_the_script_of_the_page_and_no_other(page):
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert not re.search(r"<[^>]* on[a-z]+=", page)


def test_undefined_metrics_are_dashes(tmp_path):
    metrics = SegmentationMetrics(CLASSES, boundary=False, calibration=False)
    metrics.update("a", torch.eye(3)[:2].T.contiguous(), torch.tensor([0, 1], dtype=torch.uint8))
    html = written(tmp_path, content(scores=metrics.result(1.0), history=[], examples=[]))
    assert "nan" not in re.sub(r'"data:[^"]*"', "", html).replace("nance", "")
    assert "There is no record of the training" in html
    assert "There are no labelled recordings" in html
    assert "Confidence was not measured" in html


def test_an_image_without_labels_can_be_shown(tmp_path):
    example = Example(
        "x", np.zeros((1, 4, 4)), np.full((4, 4), 255, np.uint8), np.zeros((4, 4), np.uint8), math.nan, "worst"
    )
    assert "mean IoU of this image -" in written(tmp_path, content(examples=[example]))


def test_a_page_that_exists_is_replaced(tmp_path):
    (tmp_path / "report.html").write_text("an earlier page")
    assert "an earlier page" not in written(tmp_path, content(history=[], examples=[], title="second"))


def test_palette_of_other_length_is_refused(tmp_path):
    with pytest.raises(ValueError, match="2 colors for 3 classes"):
        write_report(tmp_path / "report.html", content(palette=default_palette(2)))
    assert not list(tmp_path.iterdir())


PROBE = """<!DOCTYPE html><output></output><script>
const box = element => element.getBoundingClientRect();
const found = [PAGE].flat().flatMap(text => [390, 1280].map(width => new Promise(done => {
  const frame = Object.assign(document.createElement("iframe"), { width, height: 800, srcdoc: text });
  frame.onload = () => {
    const page = frame.contentDocument;
    done({
      images: [...page.images].filter(image => image.offsetParent).map(image => [image.naturalWidth, box(image).width]),
      ends: [...page.images].filter(image => image.offsetParent).map(image => box(image).right),
      scrolled: [...page.images].filter(image => image.closest(".scroll")).length,
      sections: [...page.querySelectorAll("section")].map(section => [section.id, box(section).height]),
      wide: page.documentElement.scrollWidth, window: frame.contentWindow.innerWidth,
    });
  };
  document.body.append(frame);
})));
Promise.all(found).then(all => { document.querySelector("output").textContent = JSON.stringify(all); });
</script>"""


def browser_or_skip():
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no chromium or google-chrome on PATH")
    return browser


FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--virtual-time-budget=60000",
)  # fmt: skip


def opened(folder, html, probe=PROBE):
    """Open the page in a browser, inside of a page that looks at it, and return what that found.

    PROBE looks at the width of a phone and of a desktop, and finds sizes of elements. It takes a list of pages, too.
    """
    browser = browser_or_skip()
    (folder / "probe.html").write_text(probe.replace("PAGE", json.dumps(html).replace("</", "<\\/")), encoding="utf-8")
    command = [browser, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    command.append((folder / "probe.html").as_uri())
    run = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    match = re.search(r"<output>(.+?)</output>", run.stdout)
    assert match, run.stderr[-2000:]
    return json.loads(unescape(match[1]))


def test_a_browser_shows_all_sections_and_images_and_nothing_sticks_out(tmp_path, page):
    phone, desktop = opened(tmp_path, page)
    for layout, width in ((phone, 390), (desktop, 1280)):
        assert layout["window"] == width
        assert layout["wide"] <= width
        assert [name for name, _ in layout["sections"]] == SECTIONS
        assert all(height > 50 for _, height in layout["sections"])
        assert len(layout["images"]) == 13
        assert all(natural > 0 and shown > 100 for natural, shown in layout["images"])


USE = """<!DOCTYPE html><iframe width=1280 height=800></iframe><output></output><script>
const frame = document.querySelector("iframe");
const until = async test => { for (;;) { if (test()) return; await new Promise(done => setTimeout(done, 20)); } };
frame.srcdoc = PAGE;
frame.onload = async () => {
  const page = frame.contentDocument, found = {};
  const article = page.querySelector("article"), view = article.querySelector("[data-view=truth]");
  const paint = () => view.parentNode.querySelector("canvas");
  const buttons = [...page.querySelectorAll(".legend button")];
  found.names = buttons.map(button => button.textContent.trim());
  buttons[1].click();
  await until(() => paint());
  found.pressed = buttons.map(button => button.getAttribute("aria-pressed"));
  found.size = [paint().width, paint().height];
  found.colors = [];
  const pixels = paint().getContext("2d").getImageData(0, 0, paint().width, paint().height), step = pixels.width / 32;
  for (let row = 0; row < 24; row++) for (let column = 0; column < 32; column++) {
    const place = 4 * ((row + 0.5) * step * pixels.width + (column + 0.5) * step);
    found.colors.push([...pixels.data.slice(place, place + 3)]);
  }
  const box = view.getBoundingClientRect();
  const point = { clientX: box.left + 2.5 / 32 * box.width, clientY: box.top + 5.5 / 24 * box.height, bubbles: true };
  view.dispatchEvent(new frame.contentWindow.PointerEvent("pointermove", point));
  const readout = article.querySelector(".readout");
  await until(() => readout.textContent.startsWith("row"));
  found.readout = readout.textContent;
  const other = page.querySelectorAll("article")[1], input = other.querySelector("[data-view=input]");
  const edge = input.getBoundingClientRect(), near = { clientX: edge.left + 1, clientY: edge.top + 1, bubbles: true };
  input.dispatchEvent(new frame.contentWindow.PointerEvent("pointermove", near));
  await until(() => other.querySelector(".readout").textContent.startsWith("row"));
  found.other = other.querySelector(".readout").textContent;
  article.querySelector(".enlarge").click();
  await until(() => page.querySelector("dialog[open] canvas"));
  found.enlarged = page.querySelector("dialog canvas").getAttribute("aria-label");
  const slider = page.querySelector(".compared input");
  slider.value = 30;
  slider.dispatchEvent(new frame.contentWindow.Event("input"));
  found.at = slider.parentNode.style.getPropertyValue("--at");
  document.querySelector("output").textContent = JSON.stringify(found);
};
</script>"""


def in_units(level, scale):
    """What the page says of a gray from 0 to 255, given the values of black and white."""
    low, high = scale
    return {0: "≤ ", 255: "≥ "}.get(int(level), "") + f"{float(f'{low + level / 255 * (high - low):.3g}'):g}"


def test_classes_are_switched_values_are_read_and_pictures_enlarged(tmp_path):
    shown = content()
    example = shown.examples[1]
    levels = {"input": 0, "answer": 9, "truth": 7}
    pictures = {name: np.full((8, 8, 3), level, np.uint8) for name, level in levels.items()}
    own = {"scales": {"answer": (0.0, 51.0)}, "palette": shown.palette}
    compared = replace(example, name="c", pictures=pictures, compared=True, **own)
    html = written(tmp_path, replace(shown, examples=[example, compared]))
    found = opened(tmp_path, html, USE)
    assert found["names"] == ["background", "cell <b>&amp;", "nucleus", "void (not counted)"]
    assert found["pressed"] == ["true", "false", "true", "true"]
    assert found["size"] == [640, 480]
    image, truth = to_rgb(example.image), example.truth
    seen = np.array(found["colors"]).reshape(24, 32, 3)
    assert np.array_equal(seen[truth == 1], image[truth == 1])  # of the class that is off, the image is seen
    for number in (0, 2, IGNORE):
        assert np.array_equal(seen[truth == number], colorize(truth, shown.palette)[truth == number])
    names = dict(enumerate(CLASSES)) | {IGNORE: "void (not counted)"}
    red, green = map(in_units, image[5, 2], channel_scales(example.image))
    expected = f"row 5 · column 2 · image {red}, {green} · truth {names[truth[5, 2]]} · "
    assert found["readout"] == expected + f"prediction {names[example.prediction[5, 2]]}"
    assert found["other"] == "row 0 · column 0 · input 0 · answer 1.8"  # the truth is a drawing
    assert found["enlarged"] == "image of bad/b"
    assert found["at"] == "30%"


def test_the_confusion_matrix_is_whole_on_a_phone(tmp_path):
    """Neither it nor another picture lies in a box that scrolls, or ends beyond the edge of the screen."""
    pages = []
    for count in (2, 11, 40):
        names = [f"class with a long name {number}" for number in range(count)]
        metrics = SegmentationMetrics(names, boundary=False, calibration=False)
        label = torch.arange(count * 16).reshape(count, 16).remainder(count).to(torch.uint8)
        one_hot = torch.nn.functional.one_hot(label.long(), count).movedim(-1, 0).float()
        metrics.update("a", one_hot, label)
        shown = content(scores=metrics.result(1.0), palette=default_palette(count), examples=[])
        pages.append(written(tmp_path, shown))
    layouts = opened(tmp_path, pages)
    assert [layout["window"] for layout in layouts] == 3 * [390, 1280]
    for layout in layouts:
        assert layout["images"]
        assert layout["scrolled"] == 0
        assert max(layout["ends"]) <= layout["window"]
        assert layout["wide"] <= layout["window"]


def test_metrics_on_other_data_have_a_section_and_advice_stands_at_the_top(tmp_path):
    picture = np.zeros((8, 16, 3), np.uint8)
    measured = Measured("48 test <scenes>", ["Never looked at."], {"mean IoU": 0.875}, {"labels": picture})
    html = written(tmp_path, content(further=[measured], advice=["Train longer."]))
    assert Outline(html).ids == [*SECTIONS[:6], "further", *SECTIONS[6:]]
    assert "48 test &lt;scenes&gt;" in html
    assert "0.875" in html
    assert "Never looked at." in html
    assert any(image["alt"] == "labels of 48 test <scenes>" for image in Outline(html).images)
    assert html.index("What next?") < html.index("Train longer.") < html.index('id="learning"')


def test_what_to_review_first_is_a_section_where_confidence_was_measured(page, tmp_path):
    assert "Review these first" not in page
    shown = content()
    counter = ConfidenceCounter(3, temperature=2.0)
    generator = torch.Generator().manual_seed(0)
    for name, factor in (("sure <i>", 4.0), ("unsure", 0.5)):
        probabilities = (factor * torch.randn(3, 400, generator=generator)).softmax(0)
        counter.update(name, probabilities, torch.randint(3, (400,), generator=generator))
    scores = replace(shown.scores, confidence=(found := counter.result()), reliability=found.after)
    html = written(tmp_path, replace(shown, scores=scores))
    outline = Outline(html)
    assert "review" in outline.ids
    assert outline.open == []
    section = html[html.index('id="review"') :]
    assert section.index("unsure") < section.index("sure &lt;i&gt;")
    assert f"{found.doubts['unsure'].uncertainty:.3f}" in section
    assert "divided by a temperature of 2.00" in html
