"""Numbers in Python and in files: sizes, rounding, void, pictures, and streamed equals whole."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from atrous.data.formats import open_source, read_header
from atrous.errors import UserError
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.output import Companions
from atrous.prediction.predictor import load
from atrous.prediction.values import ValuePrediction, shown, value_outputs
from atrous.tasks.restoration import RestorationTask
from atrous.verbs.evaluate import evaluate
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train
from tests.scans import put_referable_series

SMALL = ("model.width=4", "train.crop=[24, 24]", "train.batch_size=2", "train.validations=1")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures") / "data"
    root.mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(root / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def runs(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    given = {
        "denoise": ["task.noise=20"],
        "super-resolution": ["task.scale=3"],
        "gray": ["task.gray=true", "task.self_supervised=true", "task.noise=10"],
    }
    for name, settings in given.items():
        task = "denoise" if name == "gray" else name
        train(
            pictures, task=task, epochs=1, settings=[*SMALL, *settings], out=folder / name, progress=False, report=False
        )
    return folder


@pytest.mark.parametrize(("name", "shape"), [
    ("denoise", (3, 30, 40)), ("super-resolution", (3, 90, 120)), ("gray", (1, 30, 40)),
])  # fmt: skip
def test_values_are_given_and_written(runs, pictures, tmp_path, name, shape):
    predictor = load(runs / name)
    found = predictor.predict(pictures / "0.png")
    assert found.values.shape == shape
    assert found.values.dtype == np.float32
    assert found.values.min() >= 0
    assert found.values.max() <= 255
    written = predict(runs / name, [pictures / "0.png"], tmp_path, PredictOptions(overlay=True))
    assert not written.failed
    predict(runs / name, [pictures / "0.png"], tmp_path / "numbers", PredictOptions(probabilities="tiff"))
    picture = np.asarray(Image.open(tmp_path / "0.png"))
    wanted = np.rint(np.moveaxis(found.values, 0, -1)).astype(np.uint8)
    np.testing.assert_array_equal(picture, wanted if shape[0] == 3 else wanted[..., 0])
    np.testing.assert_allclose(tifffile.imread(tmp_path / "numbers" / "0.tif").reshape(shape), found.values, atol=1e-4)
    with Image.open(tmp_path / "0_overlay.png") as overlay:
        assert overlay.size[0] > 40
    assert set(evaluate(runs / name).scores.values) == {"psnr", "ssim", "psnr_y"}


@pytest.mark.parametrize("name", ["denoise", "super-resolution"])
def test_streamed_equals_whole(runs, name):
    image = np.random.default_rng(0).integers(0, 256, (3, 150, 130), dtype=np.uint8)
    whole = load(runs / name).predict(image).values
    streamed = load(runs / name, memory="40MB").predict(image).values
    np.testing.assert_allclose(streamed, whole, atol=1e-3)


def test_mirror_images_are_averaged(runs):
    image = np.random.default_rng(0).normal(100, 60, (3, 20, 24)).astype(np.float32)
    plain, flipped = load(runs / "denoise"), load(runs / "denoise", flip=True)
    x = plain.output(image)
    views = [x, plain.output(image[:, ::-1].copy()).flip([2]), plain.output(image[:, :, ::-1].copy()).flip([3])]
    np.testing.assert_allclose(flipped.output(image), sum(views) / 3, atol=1e-4)


def test_float_images_with_negative_values_are_restored(tmp_path):
    (tmp_path / "data").mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        tifffile.imwrite(tmp_path / "data" / f"{number}.tif", rng.normal(0, 1e-3, (24, 30)).astype(np.float32))
    settings = [*SMALL, "task.noise=0.001"]
    train(
        tmp_path / "data",
        task="denoise",
        epochs=1,
        settings=settings,
        out=tmp_path / "run",
        progress=False,
        report=False,
    )
    image = rng.normal(0, 1e-3, (24, 30)).astype(np.float32)
    image[3, 4] = np.nan
    found = load(tmp_path / "run").predict(image[None]).values
    assert np.nanmin(found) < 0
    assert np.isnan(found[0, 3, 4])
    assert np.isfinite(found).sum() == found.size - 1
    tifffile.imwrite(tmp_path / "x.tif", image)
    predict(tmp_path / "run", [tmp_path / "x.tif"], tmp_path / "out")
    np.testing.assert_allclose(tifffile.imread(tmp_path / "out" / "x.tif").squeeze(), found[0], rtol=1e-5)


def test_numbers_are_learned_from_arrays_and_written_as_zarr(tmp_path):
    rng = np.random.default_rng(0)
    images = [rng.normal(size=(2, 40, 48)).astype(np.float32) for _ in range(5)]
    targets = [np.stack([image[0] * 3 + 5, image[1]]) for image in images]
    targets[0][:, :5] = np.nan
    small = ["model.depth=10", "model.encoder_width=8", "model.width=8", "train.validations=1"]
    done = train(
        (images, targets),
        task="regression",
        epochs=1,
        settings=small,
        out=tmp_path / "run",
        progress=False,
        report=False,
    )
    assert {"mae", "rmse", "r2", "pearson", "spearman", "mae_value 1"} <= set(done.scores.values)
    store = zarr.create_array(tmp_path / "x.zarr", shape=(2, 40, 48), dtype="f4")
    store[...] = images[1]
    predict(tmp_path / "run", [tmp_path / "x.zarr"], tmp_path / "out")
    found = load(tmp_path / "run").predict(images[1]).values
    np.testing.assert_allclose(zarr.open_array(tmp_path / "out" / "x.zarr")[...], found, rtol=1e-5, atol=1e-5)


def test_what_numbers_do_not_have_is_refused(runs, pictures, tmp_path):
    with pytest.raises(UserError, match="--polygons: numbers are no classes"):
        predict(runs / "denoise", [pictures / "0.png"], tmp_path, PredictOptions(polygons="gpkg"))


@pytest.mark.parametrize("shape", [(1, 50), (1, 8, 9), (3, 8, 9), (2, 5, 8, 9)])
def test_notebooks_show_a_picture(shape):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    prediction = ValuePrediction(values, ("a",) * shape[0])
    assert prediction.picture().ndim == 3
    assert prediction._repr_png_().startswith(b"\x89PNG")
    assert "data:image/png" in prediction._repr_html_()


def test_pictures_share_a_scale():
    dark, bright = np.zeros((1, 4, 4)), np.full((1, 4, 4), 10.0)
    both = np.concatenate([dark, bright], axis=1)
    assert (shown(dark, both) == 0).all()
    assert (shown(bright, both) == 255).all()
    assert (shown(np.full((1, 4, 4), np.nan), both) == 0).all()


def test_files_of_float_images_may_be_finer(runs, tmp_path):
    image = np.random.default_rng(0).uniform(0, 255, (3, 20, 24)).astype(np.float32)
    np.save(tmp_path / "x.npy", image)
    done = predict(runs / "super-resolution", [tmp_path / "x.npy"], tmp_path / "out")
    assert done.failed == ()
    found = tifffile.imread(tmp_path / "out" / "x.tif")
    assert found.shape == (3, 60, 72)
    np.testing.assert_allclose(found, load(runs / "super-resolution").predict(image).values, atol=1e-3)


def test_finer_numbers_lie_where_their_input_lies(runs, tmp_path):
    """Spacing, transform and names: a third of the distances for a factor of three."""
    rasterio = pytest.importorskip("rasterio")
    image = np.random.default_rng(0).integers(0, 256, (3, 20, 24), dtype=np.uint8)
    transform = rasterio.Affine(30.0, 0.0, 5e5, 0.0, -30.0, 6e6)
    shape = {"driver": "GTiff", "count": 3, "height": 20, "width": 24, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(tmp_path / "map.tif", "w", transform=transform, **shape) as file:
        file.write(image)
    sizes = {"PhysicalSizeX": 0.6, "PhysicalSizeY": 0.3}
    tifffile.imwrite(tmp_path / "cells.ome.tif", image, photometric="minisblack", metadata={"axes": "CYX", **sizes})
    done = predict(runs / "super-resolution", [tmp_path / "map.tif", tmp_path / "cells.ome.tif"], tmp_path / "out")
    assert done.failed == ()
    with rasterio.open(tmp_path / "out" / "map.tif") as file:
        assert file.res == (10.0, 10.0)
        assert file.shape == (60, 72)
        assert (file.bounds.left, file.bounds.top, file.crs.to_epsg()) == (5e5, 6e6, 32633)
    header = read_header(next((tmp_path / "out").glob("cells*.tif")))
    assert header.spacing == pytest.approx((0.1, 0.2))
    assert header.names == ("channel 1", "channel 2", "channel 3")


def test_metrics_of_the_users_own_do_not_change_the_grid(runs):
    found = evaluate(runs / "super-resolution", metrics={"mean": lambda values, target: float(values.mean())})
    assert {"psnr", "mean"} <= set(found.scores.values)


def test_pairs_of_two_sizes_are_learned_and_measured(tmp_path):
    """Crops of input and target show the same place: a network that resizes its input begins near the target."""
    for name in ("lr", "hr"):
        (tmp_path / "data" / name).mkdir(parents=True)
    rows, columns = np.mgrid[:60, :80]
    for number in range(4):
        fine = np.rint(127 + 60 * np.sin((rows + 3 * number) / 9) + 60 * np.cos((columns - number) / 11))
        Image.fromarray(fine.astype(np.uint8)).save(tmp_path / "data" / "hr" / f"{number}.png")
        coarse = np.rint(fine.reshape(30, 2, 40, 2).mean(axis=(1, 3))).astype(np.uint8)
        Image.fromarray(coarse).save(tmp_path / "data" / "lr" / f"{number}.png")
    out = tmp_path / "run"
    settings = ["model.width=4", "train.batch_size=2", "train.validations=1", "train.learning_rate=1e-6"]
    done = train(
        tmp_path / "data", task="super-resolution", epochs=1, settings=settings, out=out, progress=False, report=False
    )
    assert (done.run.recipe.task.scale, done.run.recipe.train.crop) == (2, [48, 72])
    assert done.scores.values["psnr"] > 25
    assert evaluate(out).scores.values["psnr"] == pytest.approx(done.scores.values["psnr"])
    assert load(out).predict(tmp_path / "data" / "lr" / "0.png").values.shape == (1, 60, 80)
    with pytest.raises(UserError, match=r"task.scale is 3, but the clean images of .* are 2 times as fine"):
        train(tmp_path / "data", task="super-resolution", settings=["task.scale=3"], out=tmp_path / "no", epochs=1)
    assert not (tmp_path / "no").exists()
    Image.fromarray(np.zeros((90, 120), np.uint8)).save(tmp_path / "data" / "hr" / "0.png")
    with pytest.raises(UserError, match=r"hr.0.png: size \(90, 120\), but .*lr.0.png has \(30, 40\), of which"):
        evaluate(out, split="all")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ""])
@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("streamed", [False, True])
def test_numbers_of_scans_have_their_affine_also_on_a_finer_grid(tmp_path, suffix, factor, streamed):
    """A super-resolved scan spans the same millimeters: its corners lie where those of the input lie."""
    path, label = tmp_path / f"scan{suffix}", Path(f"scan{suffix or '.nii.gz'}")
    if suffix:
        affine = np.array([[0, -0.5, 0, 7], [0.8, 0, 0, -3], [0, 0, 2.5, 11], [0, 0, 0, 1]], float)
        nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), affine), path)
    else:
        put_referable_series(path, (6, 5, 4))
    source, header = open_source(path), read_header(path)
    task = RestorationTask(("intensity",), (0.0,), (1.0,), factor=factor)
    [output] = value_outputs(Input((path,), label), tmp_path / "out" / label, task, Companions(), "int16")
    output.begin(Opened(source, header.size, header.spacing), streamed)
    values = np.random.default_rng(0).normal(size=[1, *(n * factor for n in header.size)]).astype(np.float32)
    output.sink[...] = values
    output.finish()
    written = nibabel.load(tmp_path / "out" / label)
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), values[0].T)
    finer, size = np.array(header.affine), np.array(header.size[::-1])
    for corner in (np.zeros(3), size, size * [1, 0, 1]):  # the edges of voxels, not their middles
        wanted = finer[:3, :3] @ (corner - 0.5) + finer[:3, 3]
        found = written.affine[:3, :3] @ (corner * factor - 0.5) + written.affine[:3, 3]
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert read_header(tmp_path / "out" / label).spacing == pytest.approx([s / factor for s in header.spacing])
    assert [file.name for file in (tmp_path / "out").iterdir()] == [label.name]


def test_of_large_values_a_picture_reads_some_rows_and_columns_alone(tmp_path, monkeypatch):
    (tmp_path / "x.npy").touch()
    item, task = Input((tmp_path / "x.npy",), Path("x.tif")), RestorationTask(("a",), (0.0,), (1.0,))
    source = np.arange(8.0 * 3000, dtype=np.float32).reshape(1, 8, 3000)
    overlay, main = value_outputs(item, tmp_path / "x.tif", task, Companions(overlay=True), "float32")
    for output in (overlay, main):
        output.begin(Opened(source, (8, 3000)), True)
    main.sink[...] = source
    np.testing.assert_array_equal(main.drawn(), source[:, ::2, ::2])
    monkeypatch.setattr(type(main), "read", lambda self: pytest.fail("all of it was read"))
    overlay.finish()
    main.finish()
    assert (tmp_path / "x_overlay.png").exists()


@pytest.mark.parametrize(("peak", "name"), [(255.0, "x.png"), (65535.0, "x.tif"), (1.0, "x.tif")])
def test_answers_of_other_types_than_8_bits_are_not_cut_off_in_a_picture(peak, name):
    """Of pairs the inputs may have 8 bits and the clean images 16, or be floats up to 1."""
    task = RestorationTask(("gray",), (0.0,), (1.0,), peak=peak)
    [output] = value_outputs(Input((Path("x.png"),), Path("x.png")), Path("x.png"), task, Companions(), "uint8")
    assert [path.name for path in output.paths] == [name]


def test_evaluate_tells_of_images_in_other_units(runs, tmp_path):
    """Their PSNR would look good: the peak is that of 8 bits."""
    tifffile.imwrite(tmp_path / "x.tif", np.random.default_rng(0).random((20, 24, 3), np.float32), photometric="rgb")
    found = evaluate(runs / "denoise", tmp_path, split="all")
    assert "x.tif: its values are" in found.note
    assert "those of the training data 0 to 255" in found.note
