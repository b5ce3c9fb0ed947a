"""A gigapixel image, a video and a genome in a real browser: labelled, and compared with the labels of the whole."""

import re

import numpy as np
import pytest
import torch
import zarr

from atrous.prediction.predictor import load
from atrous.verbs.predict import predict
from benchmarks.crashes import make_grid_run
from tests.clips import make_clip, write_movie
from tests.genomes import random_bases, write_fasta
from tests.pages import MINUTE, exact, opened, serving, shown_labels

pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")
pytest.importorskip("playwright.sync_api")

pytestmark = pytest.mark.slow
GIGAPIXEL = 30_000
CUT = 2032
"""Pixels of the corner that goes through the network whole; it begins at a multiple of the network's stride of 32."""


def placement(page):
    return list(map(float, page.get_attribute(".overlay", "data-placement").split(",")))


def test_the_corner_of_a_gigapixel_image_is_labeled_as_in_the_whole(browser, tmp_path):
    """The receptive field is smaller than `CUT`, so the end of the cut has the labels of the whole image."""
    image = zarr.create_array(
        tmp_path / "large.zarr", shape=(1, GIGAPIXEL, GIGAPIXEL), chunks=(1, 512, 512), dtype="uint8", fill_value=90
    )
    rng = np.random.default_rng(0)
    corner = rng.integers(0, 256, (1, CUT // 8, CUT // 8)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    image[:, -CUT:, -CUT:] = corner
    make_grid_run(tmp_path / "run")
    predictor = load(tmp_path / "run", dtype=torch.float32)
    want = predictor.predict(corner).labels
    with serving([tmp_path / "large.zarr"], tmp_path / "cache", predictor) as link, opened(browser, link) as page:
        page.wait_for_selector(".overlay[data-placement]", timeout=MINUTE)
        page.wait_for_timeout(500)
        box = page.locator("#viewer").bounding_box()
        left, top, width, height = placement(page)
        page.mouse.move(box["x"] + left + width - 3, box["y"] + top + height - 3)
        while placement(page)[2] < GIGAPIXEL:
            before = placement(page)[2]
            page.mouse.wheel(0, -120)
            page.wait_for_timeout(450)
            assert placement(page)[2] > before
        page.click("#all-classes")
        exact(page)
        labels, rows, columns = shown_labels(page, predictor.palette, (GIGAPIXEL, GIGAPIXEL))
        sure = GIGAPIXEL - CUT + 512
        kept = np.ix_(rows >= sure, columns >= sure)
        rows, columns = rows[rows >= sure], columns[columns >= sure]
        assert min(len(rows), len(columns)) > 200
        assert max(rows[-1], columns[-1]) == GIGAPIXEL - 1
        np.testing.assert_array_equal(labels[kept], want[np.ix_(rows - GIGAPIXEL + CUT, columns - GIGAPIXEL + CUT)])
        assert len(np.unique(labels[kept])) > 1


def test_frames_of_a_video_are_labeled(browser, tmp_path):
    pytest.importorskip("av")
    pictures, _ = make_clip(0)
    write_movie(tmp_path / "clip.mp4", pictures)
    make_grid_run(tmp_path / "run", ndim=3, kind="videos", in_channels=3, mean=[128.0] * 3, std=[60.0] * 3)
    predictor = load(tmp_path / "run", dtype=torch.float32)
    want = predictor.predict(tmp_path / "clip.mp4").labels
    with serving([tmp_path / "clip.mp4"], tmp_path / "cache", predictor) as link, opened(browser, link) as page:
        page.click("#all-classes")
        frame = int(page.inner_text("#slice-text").split(" / ")[0]) - 1
        for number in (frame, frame + 1):
            assert page.inner_text("#slice-text") == f"{number + 1} / {len(pictures)}"
            page.wait_for_timeout(500)
            exact(page)
            labels, rows, columns = shown_labels(page, predictor.palette, want.shape[1:])
            assert (len(rows), len(columns)) == want.shape[1:]
            np.testing.assert_array_equal(labels, want[number])
            page.keyboard.press(".")


def test_features_of_a_genome_are_found_and_saved(browser, tmp_path):
    from tests.prediction.test_genes import make_run

    rng = np.random.default_rng(0)
    texts = {"chr1": random_bases(rng, 3000), "chr2": random_bases(rng, 901)}
    fasta = write_fasta(tmp_path / "x.fa.gz", texts)
    alone = write_fasta(tmp_path / "y.fa.gz", {"chr2": texts["chr2"]})
    run = make_run(tmp_path / "run")
    predict(run, [alone], tmp_path / "y.gff3")
    with serving([fasta], tmp_path / "cache", load(run)) as link, opened(browser, link) as page:
        page.fill("#jump", "chr2")
        page.keyboard.press("Enter")
        page.wait_for_selector('#lines[data-loaded="0:1"]')
        page.click("#fill")
        page.wait_for_selector("#save-gff3", timeout=MINUTE)
        with page.expect_download() as saved:
            page.click("#save-gff3")
        text = saved.value.path().read_text()
    assert text == (tmp_path / "y.gff3").read_text()
    assert len(re.findall(r"\tCDS\t", text)) > 1
