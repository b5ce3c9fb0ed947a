"""Deconvolution of files: the units and kinds of files stay, the best parameter is found, mistakes are named."""

import json
import re

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from atrous.cli.main import app
from atrous.data.restoration import Degradation, gaussian_psf
from atrous.errors import UserError
from atrous.prediction.deconvolution import AMOUNTS, Deconvolution
from atrous.tasks.restoration import psnr
from atrous.verbs.restore import RestoreOptions, restore
from tests.clips import write_movie

RNG = np.random.default_rng(0)


def picture(shape=(30, 40, 3)):
    """Blocks of colors, with sharp edges."""
    coarse = np.random.default_rng(len(shape)).integers(0, 256, (-(-shape[0] // 5), -(-shape[1] // 5), *shape[2:]))
    return coarse.repeat(5, axis=0).repeat(5, axis=1)[: shape[0], : shape[1]].astype(np.uint8)


def blurred(image, sigma=1.2):
    """A picture `(H, W, 3)` or `(H, W)` as float32, blurred."""
    channels = np.moveaxis(image, -1, 0) if image.ndim == 3 else image[None]
    found = Degradation(blur=sigma)(channels, RNG)
    return np.moveaxis(found, 0, -1) if image.ndim == 3 else found[0]


@pytest.fixture
def photos(tmp_path):
    for name in ("sharp", "soft"):
        (tmp_path / name / "x").mkdir(parents=True)
    for name, shape in (("a", (30, 40, 3)), ("x/b", (26, 31, 3))):
        clean = picture(shape)
        Image.fromarray(clean).save(tmp_path / "sharp" / f"{name}.png")
        soft = np.clip(np.rint(blurred(clean)), 0, 255).astype(np.uint8)
        Image.fromarray(soft).save(tmp_path / "soft" / f"{name}.png")
    return tmp_path


def test_pictures_stay_pictures(photos):
    done = restore([photos / "soft"], photos / "out", RestoreOptions("wiener", 1.2, balance=0.003, overlay=True))
    assert done.compared is None
    assert done.written is not None
    names = {path.relative_to(photos / "out").as_posix() for path in done.written.written}
    assert names == {"a.png", "a_overlay.png", "x/b.png", "x/b_overlay.png"}
    given = np.moveaxis(np.asarray(Image.open(photos / "soft" / "a.png")), -1, 0)
    wanted = Deconvolution("wiener", 0.003)(given, gaussian_psf(1.2, 2))
    found = np.asarray(Image.open(photos / "out" / "a.png"))
    np.testing.assert_array_equal(found, np.moveaxis(np.clip(np.rint(wanted), 0, 255), 0, -1))
    assert (photos / "out" / "a_overlay.png").exists()
    again = restore([photos / "soft"], photos / "out", RestoreOptions("wiener", 1.2, balance=0.003))
    assert again.written is not None
    assert len(again.written.skipped) == 2


def test_other_values_keep_their_units(tmp_path):
    gray = picture((24, 30)).astype(np.float32)
    volume = np.stack([gray[:16, :18]] * 9)
    tifffile.imwrite(tmp_path / "deep.tif", (gray * 257).astype(np.uint16))
    tifffile.imwrite(tmp_path / "stack.tif", volume - 500)
    np.save(tmp_path / "bands.npy", np.stack([gray * 1e-6] * 4))
    gaps = gray.copy()
    gaps[3:5, 7] = np.nan
    tifffile.imwrite(tmp_path / "gaps.tif", gaps)
    inputs = [tmp_path / name for name in ("deep.tif", "stack.tif", "bands.npy", "gaps.tif")]
    done = restore(inputs, tmp_path / "out", RestoreOptions("richardson-lucy", 1.0, iterations=3))
    assert done.written is not None
    assert done.written.failed == ()
    found = {path.stem: tifffile.imread(tmp_path / "out" / f"{path.stem}.tif").squeeze() for path in inputs}
    assert all(values.dtype == np.float32 for values in found.values())
    assert 40000 < found["deep"].max() <= 65535
    assert found["stack"].shape == volume.shape
    assert found["stack"].max() < -100
    assert found["bands"].shape == (4, 24, 30)
    assert found["bands"].max() < 1e-3
    np.testing.assert_array_equal(np.isnan(found["gaps"]), np.isnan(gaps))


def test_the_best_parameter_is_found_and_used(photos):
    options = RestoreOptions("wiener", 1.2, compare=photos / "sharp")
    done = restore([photos / "soft"], photos / "out", options)
    compared = done.compared
    assert compared is not None
    assert tuple(amount for amount, _ in compared.grid) == AMOUNTS["wiener"]
    best = max(compared.grid, key=lambda row: row[1])
    assert (compared.best, done.deconvolution.amount) == (best[0], best[0])
    assert compared.metrics.values["psnr"] == pytest.approx(best[1], abs=1e-3)
    assert set(compared.metrics.values) == {"psnr", "ssim", "psnr_y"}
    assert best[1] > compared.degraded + 1
    import torch

    clean, given = (torch.from_numpy(np.asarray(Image.open(photos / n / "a.png")).copy()) for n in ("sharp", "soft"))
    other, soft = (torch.from_numpy(np.asarray(Image.open(photos / n / "x/b.png")).copy()) for n in ("sharp", "soft"))
    assert compared.degraded == pytest.approx((psnr(given, clean, 255) + psnr(soft, other, 255)) / 2)
    assert "best: balance" in compared.text()


def test_clean_images_are_degraded_first(photos):
    options = RestoreOptions("richardson-lucy", 1.6, noise=2.0, gray=True)
    done = restore([photos / "sharp" / "a.png"], None, options)
    assert done.written is None
    assert done.compared is not None
    assert done.compared.peak == 255
    assert dict(done.compared.grid)[done.compared.best] > done.compared.degraded
    assert set(done.compared.metrics.values) == {"psnr", "ssim", "psnr_y"}


def test_floats_are_measured_by_the_range_of_the_clean_ones(tmp_path):
    for name in ("sharp", "soft"):
        (tmp_path / name).mkdir()
    clean = picture((24, 30)).astype(np.float32) * 1e-3 - 1
    tifffile.imwrite(tmp_path / "sharp" / "a.tif", clean)
    tifffile.imwrite(tmp_path / "soft" / "a.tif", blurred(clean))
    done = restore([tmp_path / "soft"], None, RestoreOptions("wiener", 1.2, balance=1e-3, compare=tmp_path / "sharp"))
    assert done.compared is not None
    assert done.compared.peak == pytest.approx(float(np.ptp(clean)))
    assert len(done.compared.grid) == 1


@pytest.mark.parametrize(("options", "words"), [
    (RestoreOptions("inverse", 1.0), "choose wiener or richardson-lucy"),
    (RestoreOptions("wiener", 1.0, iterations=3), "--iterations is for --method richardson-lucy"),
    (RestoreOptions("wiener", 1.0, balance=0.0), "--balance 0: give a number above 0"),
    (RestoreOptions("wiener", 0.0), "above 0 and up to 16, or a file"),
    (RestoreOptions("wiener", 17), "above 0 and up to 16, or a file"),
    (RestoreOptions("wiener", "nowhere.tif"), "nowhere.tif: no such file"),
    (RestoreOptions("wiener", 1.0, noise=-1.0), "--noise -1"),
    (RestoreOptions("wiener", 1.0, noise=1.0, compare="sharp"), "leave --compare out"),
    (RestoreOptions("wiener", 1.0, probabilities="png"), "choose zarr or tiff"),
])  # fmt: skip
def test_mistakes_in_the_options_are_named(photos, options, words):
    with pytest.raises(UserError, match=words):
        restore([photos / "soft"], photos / "out", options)
    assert not (photos / "out").exists()


def test_no_input_is_written_over(photos):
    with pytest.raises(UserError, match="would lie among the inputs"):
        restore([photos / "soft"], photos / "soft", RestoreOptions("wiener", 1.2))


def test_pairs_that_do_not_fit_are_named(photos):
    with pytest.raises(UserError, match="-o FOLDER is missing"):
        restore([photos / "soft"], None, RestoreOptions("wiener", 1.0))
    with pytest.raises(UserError, match=r"b\.png: no clean image of this name \(x/b\)"):
        restore([photos / "soft"], None, RestoreOptions("wiener", 1.0, compare=photos / "sharp" / "a.png"))
    Image.fromarray(picture((30, 41, 3))).save(photos / "sharp" / "a.png")
    with pytest.raises(UserError, match=r"soft.a\.png: 3 x 30 x 40, but .*sharp.a\.png is 3 x 30 x 41"):
        restore([photos / "soft"], None, RestoreOptions("wiener", 1.0, balance=1.0, compare=photos / "sharp"))


def test_a_video_is_refused(photos):
    movie = write_movie(photos / "clip.mp4", np.zeros((3, 32, 32, 3), np.uint8))
    with pytest.raises(UserError, match=r"clip\.mp4: a video, .*: give its frames as images"):
        restore([movie], photos / "out", RestoreOptions("wiener", 1.0))


def test_a_psf_of_other_axes_is_told_before_the_work(photos):
    np.save(photos / "psf.npy", np.ones((1, 3, 3, 3), np.float32))
    with pytest.raises(UserError, match="one channel and 2 axes"):
        restore([photos / "soft"], photos / "out", RestoreOptions("wiener", str(photos / "psf.npy")))


def test_the_command_writes_and_measures(photos):
    tifffile.imwrite(photos / "psf.tif", gaussian_psf(1.2, 2))
    (photos / "soft" / "damaged.png").write_bytes(b"no picture")
    arguments = [str(photos / "soft"), "-o", str(photos / "out"), "--psf", str(photos / "psf.tif"), "--json"]
    found = CliRunner().invoke(app, ["restore", *arguments, "--balance", "0.003"])
    facts = json.loads(found.stdout)
    assert found.exit_code == 2
    assert (facts["method"], facts["balance"], facts["compared"]) == ("wiener", 0.003, None)
    assert len(facts["written"]) == 2
    assert "damaged.png" in next(iter(facts["failed"].values()))


def test_what_does_not_fit_into_the_memory_is_refused_before_it_is_read(photos, monkeypatch):
    large = np.zeros((400, 300), np.float32)
    tifffile.imwrite(photos / "soft" / "large.tif", large)
    words = r"large\.tif: wiener needs .* MB for 1 x 400 x 300, and --memory is 4 MB: cut it into pieces"
    options = RestoreOptions("wiener", 1.0, memory="4MB")
    done = restore([photos / "soft"], photos / "out", options)
    assert done.written is not None
    assert len(done.written.written) == 2
    [(path, reason)] = done.written.failed
    assert (path.name, done.written.log) == ("large.tif", None)
    assert re.search(words, reason)
    assert not [path for path in (photos / "out").rglob("*") if "large" in path.name]
    monkeypatch.setattr("atrous.verbs.restore.read_item", lambda *given: pytest.fail("it was read"))
    with pytest.raises(UserError, match=words):
        restore([photos / "soft" / "large.tif"], None, RestoreOptions("wiener", 1.0, noise=1.0, memory="4MB"))
