"""Plans of tasks that learn numbers, and what settings make of them."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from atrous.errors import UserError
from atrous.recipe.build import build_restoration, build_task
from atrous.recipe.schema import override
from atrous.recipe.values import STEP
from atrous.verbs.check import check
from atrous.verbs.kinds import KINDS


def plan(root, task, **asked):
    from atrous.recipe.plan import Request

    found = check(root, task=task)
    assert found.ok, found.text()
    return KINDS[found.dataset.kind].plan(found.dataset, found.fingerprint, Request(1.0, **asked))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (140, 100, 3), dtype=np.uint8)).save(root / f"{number}.png")
    return root


@pytest.mark.parametrize("task", ["denoise", "deblur", "super-resolution"])
def test_restorations_keep_what_is_measured(pictures, task):
    recipe = plan(pictures, task).recipe
    assert (recipe.model.name, recipe.model.in_channels) == ("restorer", 3)
    assert recipe.input.intensity == ["keep"]
    assert recipe.augment.scale == (1.0, 1.0)
    assert (recipe.augment.rotate, recipe.augment.brightness, recipe.augment.noise) == (0, 0, 0)
    assert recipe.augment.keep == [0, 1]
    assert all(length % STEP == 0 for length in recipe.train.crop)
    assert recipe.task.options["limits"] == [0.0, 255.0]
    assert recipe.task.options["peak"] == 255.0
    assert recipe.task.options["offset"] == recipe.model.mean
    assert recipe.model.factor == (2 if task == "super-resolution" else 1)


def test_what_is_added_where_nobody_says_it(pictures):
    denoise, deblur, fine = (plan(pictures, task).recipe for task in ("denoise", "deblur", "super-resolution"))
    assert build_restoration(denoise).degradation.noise == 25
    found = build_restoration(deblur).degradation
    assert (found.blur, found.noise, found.scale) == (1.6, 2.0, 1)
    found = build_restoration(fine).degradation
    assert (found.blur, found.noise, found.scale, found.greatest) == (0.0, 0.0, 2, 255.0)
    of_dtype = {name: override(fine, [f"input.dtype={name}"]) for name in ("uint16", "float32")}
    assert {name: build_restoration(one).degradation.greatest for name, one in of_dtype.items()} == {
        "uint16": 65535.0, "float32": None,
    }  # fmt: skip
    own = build_restoration(override(denoise, ["task.self_supervised=true"]))
    assert own.hidden
    assert not own.degradation.changes
    photons = build_restoration(override(denoise, ["task.gain=0.5"])).degradation
    assert (photons.noise, photons.gain) == (0.0, 0.5)


def test_settings_say_what_is_added(pictures):
    recipe = override(plan(pictures, "deblur").recipe, ["task.psf=2.5", "task.noise=7"])
    found = build_restoration(recipe).degradation
    assert (found.blur, found.noise) == (2.5, 7.0)
    recipe = override(plan(pictures, "super-resolution").recipe, ["task.scale=3"])
    assert recipe.model.factor == 3
    with pytest.raises(UserError, match="no such file"):
        build_restoration(override(recipe, ["task.psf=nowhere.tif"]))


def test_a_network_that_must_not_copy_is_not_given_its_input(pictures):
    recipe = plan(pictures, "denoise").recipe
    assert recipe.model.residual is None
    own = override(recipe, ["task.self_supervised=true"])
    assert own.model.residual is False
    assert override(own, ["task.self_supervised=true"]).model.residual is False
    assert override(own, ["task.self_supervised=false"]).model.residual is None
    kept = override(own, ["task.self_supervised=false", "model.residual=false"])
    assert kept.model.residual is False


def test_the_noise_of_16_bits_follows_what_the_images_hold(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        image = rng.integers(0, 4096, (40, 50)).astype(np.uint16)
        image[0, :2] = 0, 4095
        tifffile.imwrite(tmp_path / f"{number}.tif", image)
    planned = [plan(tmp_path, task) for task in ("denoise", "deblur")]
    assert [build_restoration(one.recipe).degradation.noise for one in planned] == [401, pytest.approx(32.08)]
    assert planned[0].reasons["task.noise"].endswith("noise of 401 is added")
    assert planned[0].recipe.task.options["peak"] == 65535


def test_gray_is_refused_where_color_stays(pictures):
    """Arrays in memory are taken as they are, so a network of colors was trained without a word."""
    from atrous.recipe.agree import agree_with_data

    found = check(pictures, task="denoise")  # nobody says here that colors become gray
    recipe = override(plan(pictures, "denoise").recipe, ["task.gray=true"])
    with pytest.raises(UserError, match=r"task\.gray is true, but .* is read with 3 channels"):
        agree_with_data(recipe, found.dataset, found.fingerprint)


def test_only_colors_of_8_bits_have_a_luma(pictures, tmp_path):
    assert build_task(plan(pictures, "denoise").recipe).color
    for number in range(4):
        stains = np.random.default_rng(number).integers(0, 4096, (40, 50, 3)).astype(np.uint16)
        tifffile.imwrite(tmp_path / f"{number}.tif", stains, photometric="rgb")
    assert not build_task(plan(tmp_path, "denoise").recipe).color


def test_crops_hold_whole_positions_of_the_coarser_grid(pictures):
    with pytest.raises(UserError, match=r"train.crop .* multiples of task.scale = 5"):
        override(plan(pictures, "super-resolution").recipe, ["task.scale=5"])


@pytest.mark.parametrize(("scale", "crop"), [(2, [96, 96]), (3, [120, 96]), (4, [120, 96]), (5, [140, 100])])
def test_crops_of_a_finer_grid_are_as_large_for_the_network(pictures, scale, crop):
    recipe = plan(pictures, "super-resolution", scale=scale).recipe
    assert (recipe.task.scale, recipe.model.factor, recipe.train.crop) == (scale, scale, crop)
    assert (recipe.model.width, recipe.model.levels) == (64, 2)
    denoise = plan(pictures, "denoise").recipe
    assert (denoise.train.crop, denoise.model.width, denoise.model.levels) == ([96, 96], 32, 3)


def test_outputs_have_the_units_of_the_training_targets(tmp_path):
    for number in range(4):
        for name in ("images", "depth"):
            (tmp_path / name).mkdir(exist_ok=True)
        Image.fromarray(np.full((40, 50), number, np.uint8)).save(tmp_path / "images" / f"{number}.png")
        values = np.stack([np.full((40, 50), 7.0), np.arange(2000.0).reshape(40, 50)]).astype(np.float32)
        tifffile.imwrite(tmp_path / "depth" / f"{number}.tif", values, metadata={"axes": "CYX"})
    options = plan(tmp_path, "regression").recipe.task.options
    assert options["outputs"] == ["value 1", "value 2"]
    assert options["offset"] == [7.0, 999.5]
    assert options["scale"][0] == 1.0
    assert options["scale"][1] == pytest.approx(np.arange(2000).std())


@pytest.mark.parametrize(("task", "settings", "words"), [
    ("denoise", ["task.scale=2"], "task.scale is for super-resolution"),
    ("deblur", ["task.self_supervised=true"], "task.self_supervised is for denoise"),
    ("super-resolution", ["model.name=unet"], 'needs model.name = "restorer"'),
    ("deblur", ["task.psf=-1"], "above 0"),
    ("denoise", ["model.attention=scse"], "model.attention is not for"),
    ("denoise", ["model.deep_supervision=true"], "model.deep_supervision is not for"),
    ("denoise", ["stages=fine-tune"], "stages are for networks with an encoder"),
    ("denoise", ["task.options.offset=0"], "task: "),
])  # fmt: skip
def test_what_does_not_go_together_is_named(pictures, task, settings, words):
    with pytest.raises(UserError, match=words):
        override(plan(pictures, task).recipe, settings)


def test_noise_is_for_restorations(digits):
    from atrous.recipe.schema import validate

    values = plan(digits, "semantic").recipe.model_dump()
    values["task"]["noise"] = 25.0
    with pytest.raises(UserError, match=r"task\.noise is for denoise"):
        validate(values, "test")


def test_pairs_are_measured_by_the_range_of_the_clean_images(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("noisy", "clean"):
        (tmp_path / name).mkdir()
    for number in range(4):
        clean = rng.integers(0, 256, (40, 50), dtype=np.uint8)
        Image.fromarray(clean).save(tmp_path / "clean" / f"{number}.png")
        tifffile.imwrite(
            tmp_path / "noisy" / f"{number}.tif", clean.astype(np.float32) + rng.normal(0, 90, clean.shape)
        )
    recipe = plan(tmp_path, "denoise").recipe
    assert (recipe.task.options["peak"], recipe.task.options["limits"]) == (255.0, [0.0, 255.0])
    found = check(tmp_path, task="denoise")
    from atrous.recipe.agree import agree_with_data

    agree_with_data(recipe, found.dataset, found.fingerprint)
    with pytest.raises(UserError, match=r"task\.noise is for images alone"):
        agree_with_data(override(recipe, ["task.noise=25"]), found.dataset, found.fingerprint)


def test_images_of_one_value_have_a_plan(tmp_path):
    for number in range(3):
        tifffile.imwrite(tmp_path / f"{number}.tif", np.full((40, 40), 7, np.uint16))
    recipe = plan(tmp_path, "denoise").recipe
    assert (recipe.model.mean, recipe.model.std) == ([7], [1])
    build_task(recipe)


@pytest.mark.parametrize(("factor", "offset"), [(1, 0), (16, 0), (1, 300), (1 / 255, 0)])
def test_pairs_of_other_units_begin_with_those_of_the_clean_images(tmp_path, factor, offset):
    """A network without biases that adds its input could not bring 12 bits to 8, or darkness to daylight."""
    rng = np.random.default_rng(0)
    for name in ("noisy", "clean"):
        (tmp_path / name).mkdir()
    for number in range(4):
        clean = rng.integers(0, 256, (40, 50), dtype=np.uint8)
        Image.fromarray(clean).save(tmp_path / "clean" / f"{number}.png")
        noisy = (clean + rng.normal(0, 20, clean.shape)) * factor + offset
        tifffile.imwrite(tmp_path / "noisy" / f"{number}.tif", noisy.astype(np.float32))
    planned = plan(tmp_path, "denoise")
    options, model = planned.recipe.task.options, planned.recipe.model
    alike = (factor, offset) == (1, 0)
    assert (options["offset"] == model.mean) == (options["scale"] == model.std) == alike
    assert options["offset"] == pytest.approx([127.5], abs=3)
    assert options["scale"] == pytest.approx([74], abs=6)
    assert ("task.options" in planned.reasons) != alike
