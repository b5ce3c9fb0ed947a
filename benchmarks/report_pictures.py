"""Train a tiny network for every task, and save pictures of its report: wide and narrow, light and dark.

    python -m benchmarks.report_pictures --out FOLDER
    python -m benchmarks.report_pictures --out FOLDER --only counting --only genomes

The networks are trained for seconds on made data, so their figures mean nothing; what counts is the page. Of every
page it prints the bytes, and what is wrong: a page that is wider than its window, pictures without a text, errors of
its script, no value under the pointer. It ends with exit code 1 if something is.

A run that is in FOLDER already is not trained again. Needs `pip install "atrous[dev]"` and chromium or google-chrome.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from atrous.demo.digits import write_digit_scenes
from atrous.errors import UserError
from atrous.verbs.train import train
from tests import conftest, test_every_found, test_every_grid
from tests.clips import write_frames, write_panning
from tests.genomes import write_genomes, write_signal_tracks
from tests.maps import write_maps
from tests.pairs import write_pairs, write_scene
from tests.prediction import test_value_tables
from tests.verbs import test_change, test_classification, test_edges, test_keypoints, test_motion, test_style
from tests.volumes import write_signals, write_volumes

WIDTHS = (1440, 390)
"""Pixels of the window: a desk and a phone."""
PATIENCE = 200
"""Tenths of a second until a value stands under the pointer."""
LIMIT = 3_000_000
"""Bytes of a page at most."""
EMPTY = """[...document.querySelectorAll("section, table, ul, ol, dl, figure, pre")]
    .filter(part => !part.textContent.trim() && !part.querySelector("img")).map(part => part.tagName.toLowerCase())"""
"""What JavaScript says of a page: its parts that hold neither text nor pictures."""
GENOME = ("model.width=16", "model.dilations=[1,2,4]", "train.crop=[1500]", "train.batch_size=4")
VIDEO = ("model.encoder=resnet", "model.pretrained=false", "train.batch_size=4")
FAST = "train.learning_rate=3e-3"


@dataclass(frozen=True)
class Subject:
    """A task whose report is looked at.

    Attributes:
        data: writes a data set into a folder, or makes one in memory, and returns what `train` is given.
        settings: of the recipe.
        epochs: of the training.
        task: that the data are trained for; None where the data say it.
    """

    data: Callable[[Path], Any]
    settings: Sequence[str] = ()
    epochs: int = 4
    task: str | None = None


def _scenes(folder: Path) -> Path:
    write_digit_scenes(folder / "digits", train=12, val=6, test=2, size=(96, 128), seed=0)
    return folder / "digits"


def _photos(folder: Path) -> Path:
    """Pictures without labels."""
    scenes = _scenes(folder)
    (folder / "photos").mkdir()
    for number, path in enumerate(sorted(scenes.rglob("images/*/*.png"))[:12]):
        shutil.copyfile(path, folder / "photos" / f"{number}.png")
    return folder / "photos"


def _numbers(folder: Path) -> Path:
    """Images, and a number for each of their pixels: smoothed brightness, in units of a thousand."""
    import tifffile
    from scipy.ndimage import gaussian_filter

    photos = _photos(folder)
    for name in ("images", "masks"):
        (folder / "data" / name).mkdir(parents=True)
    for path in sorted(photos.iterdir()):
        with Image.open(path) as image:
            gray = image.convert("L")
        gray.save(folder / "data" / "images" / path.name)
        smooth = gaussian_filter(np.asarray(gray, np.float32) * 10, 3)
        tifffile.imwrite(folder / "data" / "masks" / path.with_suffix(".tif").name, smooth)
    (folder / "data" / "dataset.toml").write_text('task = "regression"\n')
    return folder / "data"


def _tracks(folder: Path) -> Path:
    data = write_signal_tracks(folder / "tracks", names=("bump", "more"))
    (data / "dataset.toml").write_text('task = "regression"\n')
    return data


def _squares(folder: Path) -> Path:
    return test_classification.write(folder / "squares", (36, 48))


def _clicks(folder: Path) -> Path:
    """Recordings of which a table says whether they hold a click, a hum, or both."""
    rng, rows = np.random.default_rng(0), ["file,click,hum,split"]
    (folder / "sounds").mkdir()
    for number in range(24):
        click, hum = number % 2, number // 2 % 2
        sound = rng.normal(0, 0.3, 2000)
        start = int(rng.integers(0, 1800))
        sound[start : start + 20] += 4 * click
        sound += hum * np.sin(np.arange(2000) / 3) * (np.arange(2000) > start)
        np.savez(folder / "sounds" / f"{number}.npz", signal=sound[None].astype(np.float32))
        rows.append(f"{number}.npz,{click},{hum},{'val' if number > 15 else 'train'}")
    (folder / "sounds" / "labels.csv").write_text("\n".join(rows))
    return folder / "sounds"


def _style(folder: Path) -> Path:
    """Photographs, and beside them the picture whose style is learned."""
    photos = _photos(folder)
    with Image.open(photos / "0.png") as image:
        image.convert("RGB").rotate(90, expand=True).save(folder / "style.png")
    return photos


def _made(task: str, ndim: int = 2) -> Callable[[Path], Any]:
    return lambda folder: test_every_found.made(task, ndim)


def _found(ndim: int = 2) -> tuple[str, ...]:
    return (*test_every_found.SMALL, f"train.crop={test_every_found.CROPS[ndim]}", FAST)


STARS = "task.options.shape=stars"
HEARD = (
    "model.encoder=strided", "model.strides=[4, 2]", "model.encoder_width=8", "task.options.stride=[8]",
    "train.learning_rate=1e-2",
)  # fmt: skip
RESTORED = ("model.width=8", "train.crop=[48, 48]", "train.batch_size=4", "train.validations=2")
SUBJECTS: dict[str, Subject] = {
    "semantic": Subject(_scenes, (*conftest.SMALL, FAST), 10),
    "maps": Subject(lambda to: write_maps(to / "maps"), (*test_every_grid.SMALL, "train.crop=[64, 64]", FAST), 6),
    "volumes": Subject(lambda to: write_volumes(to / "volumes"), (*test_every_grid.SMALL, FAST), 8),
    "signals": Subject(lambda to: write_signals(to / "signals"), (*test_every_grid.SMALL, FAST), 30),
    "genomes": Subject(lambda to: write_genomes(to / "genomes", count=4), (*GENOME, "model.local=8"), 10),
    "tracks": Subject(_tracks, GENOME, 10),
    "video": Subject(lambda to: write_frames(to / "clips"), (*test_every_grid.SMALL, *VIDEO, FAST), 10),
    "moving": Subject(lambda to: write_panning(to / "moving"), (*test_every_grid.SMALL, *VIDEO, FAST), 4),
    "motion": Subject(lambda to: write_scene(to / "shop"), test_motion.SMALL, 8, "motion"),
    "change": Subject(lambda to: write_pairs(to / "pairs"), test_change.SMALL, 10, "change"),
    "instances": Subject(_made("instances"), _found(), 20, "instances"),
    "instances-3d": Subject(_made("instances", 3), _found(3), 4, "instances"),
    "stars": Subject(_made("stars"), (*_found(), STARS), 20, "instances"),
    "detection": Subject(_made("detection"), _found(), 20, "detection"),
    "detection-1d": Subject(_made("detection", 1), _found(1), 20, "detection"),
    "rotated": Subject(_made("rotated"), _found(), 20, "detection"),
    "counting": Subject(_made("counting"), _found(), 20, "counting"),
    "keypoints": Subject(lambda to: test_keypoints.write(to / "points"), test_keypoints.SMALL, 12),
    "classification": Subject(_squares, test_classification.SETTINGS, 8, "classification"),
    "classification-1d": Subject(_clicks, HEARD, 60, "classification"),
    "edges": Subject(lambda to: test_edges.write(to / "edges"), test_edges.SMALL, 8, "edges"),
    "regression": Subject(_numbers, (*conftest.SMALL, FAST), 6),
    "regression-1d": Subject(
        lambda to: test_value_tables.write(to / "recordings", ".csv"), test_value_tables.SMALL, 10
    ),
    "denoise": Subject(_photos, (*RESTORED, "task.noise=20"), 4, "denoise"),
    "super-resolution": Subject(_photos, (*RESTORED, "task.scale=3"), 4, "super-resolution"),
    "deblur": Subject(_photos, (*RESTORED, "task.psf=1.5"), 4, "deblur"),
    "style": Subject(_style, test_style.SMALL, 6, "style"),
}  # fmt: skip


def trained(name: str, folder: Path) -> Path:
    """Return the report of a task, from a run in `folder`, which is trained if it is not there."""
    run, subject = folder / name, SUBJECTS[name]
    if (run / "report.html").exists():
        return run / "report.html"
    if run.exists():
        shutil.rmtree(run)
    with tempfile.TemporaryDirectory() as made:
        settings = [*subject.settings]
        data = subject.data(Path(made))
        if name == "style":
            settings.append(f"task.style={Path(made) / 'style.png'}")
        # Style is measured with features of VGG, which are not installed with the package.
        with patch("atrous.recipe.style_picture.Activations", test_style.TinyEncoder):
            train(data, task=subject.task, out=run, epochs=subject.epochs, settings=settings, progress=False)
    return run / "report.html"


def looked_at(browser: Browser, report: Path, pictures: Path, name: str) -> list[str]:
    """Save pictures of a page at every width and in both colour schemes, and return what is wrong with it.

    Args:
        browser: that opens it.
        report: an HTML file.
        pictures: folder of the pictures.
        name: what their names begin with.
    """
    size = report.stat().st_size
    wrong = [] if size < LIMIT else [f"{size} bytes, more than {LIMIT}"]
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            with _opened(browser, report, width, scheme) as (page, errors):
                page.screenshot(path=pictures / f"{name}_{width}_{scheme}.png", full_page=True)
                found = [*_problems(page), *errors]
                if scheme == "light" and width == WIDTHS[0]:
                    page.pdf(path=pictures / f"{name}.pdf", format="A4")
            wrong += [f"{problem} ({width}, {scheme})" for problem in found]
    return wrong


@contextmanager
def _opened(browser: Browser, report: Path, width: int, scheme: Any) -> Iterator[tuple[Page, list[str]]]:
    """The page in a window, and the errors of its script so far."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto(report.resolve().as_uri())
    page.wait_for_load_state("networkidle")
    yield page, errors
    context.close()


def _problems(page: Page) -> list[str]:
    """What is wrong with an open page."""
    wrong = []
    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if over > 0:
        wrong.append(f"{over} pixels wider than the window")
    bare = page.evaluate("[...document.images].filter(i => !i.alt.trim() || !i.naturalWidth).length")
    if bare:
        wrong.append(f"{bare} pictures without a text, or broken")
    empty = page.evaluate(EMPTY)
    if empty:
        wrong.append(f"empty: {', '.join(empty)}")
    frame = page.query_selector("article .frame")
    if frame is not None:
        frame.scroll_into_view_if_needed()
        frame.hover()
        for _ in range(PATIENCE):  # the page decodes its pictures first
            said = page.inner_text("article .readout")
            if any(letter.isdigit() for letter in said):
                break
            page.wait_for_timeout(100)
        else:
            wrong.append(f"no value under the pointer within {PATIENCE / 10:g} s")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and the pictures")
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="a task; may be repeated")
    given = parser.parse_args()
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        raise UserError("no chromium or google-chrome is on PATH: install one")
    given.out.mkdir(parents=True, exist_ok=True)
    failed = False
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for name in given.only or SUBJECTS:
            report = trained(name, given.out)
            wrong = looked_at(browser, report, given.out, name)
            failed = failed or bool(wrong)
            print(f"{name:<18} {report.stat().st_size:>9,} bytes  {'; '.join(wrong) or 'nothing wrong'}", flush=True)
        browser.close()
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
