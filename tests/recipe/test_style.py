"""The plan of style transfer, and what is refused."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from atrous.errors import UserError
from atrous.recipe.plan import Request
from atrous.recipe.schema import override
from atrous.tasks.style import WEIGHTS
from atrous.verbs.check import check
from atrous.verbs.kinds import KINDS


def plan(root):
    found = check(root, task="style")
    assert found.ok, found.text()
    return KINDS[found.dataset.kind].plan(found.dataset, found.fingerprint, Request(1.0))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (140, 300, 3), dtype=np.uint8)).save(root / f"{number}.png")
    return root


def test_the_plan_shows_whole_pictures_in_their_own_colors(photos):
    planned = plan(photos)
    recipe = planned.recipe
    assert (recipe.model.name, recipe.model.in_channels, recipe.task.kind) == ("stylizer", 3, "style")
    assert recipe.task.options == {"limits": [0.0, 255.0], **WEIGHTS, "style_side": 512}
    assert recipe.train.crop == [128, 256]
    assert recipe.augment.scale[1] == 1.0
    assert recipe.augment.flip == [False, True]
    assert (recipe.augment.brightness, recipe.augment.saturation, recipe.augment.noise) == (0, 0, 0)
    assert recipe.input.intensity == ["keep"]
    assert {"model.name", "task.options", "train.crop"} <= set(planned.reasons)


def test_gray_and_deep_pictures(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(3):
        tifffile.imwrite(tmp_path / f"{number}.tif", rng.integers(0, 60000, (64, 70), dtype=np.uint16))
    recipe = plan(tmp_path).recipe
    assert recipe.model.in_channels == 1
    assert recipe.task.options["limits"] == [0.0, 65535.0]


def test_other_data_are_refused(tmp_path):
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", np.zeros((2, 40, 40), np.float32) + number)
    with pytest.raises(UserError, match="2 channels: style is for color or gray pictures"):
        plan(tmp_path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["task.noise=3"], "task.noise is for denoise"),
        (["task.pairs=true"], "task.pairs is for denoise"),
        (["model.attention=se"], "model.attention is not for model.name = 'stylizer'"),
        (["stages=fine-tune"], "stages are for networks with an encoder"),
        (["task.options.style_weight=-3"], "task.options.style_weight = -3"),
        (["task.kind=denoise", "task.options={}"], "stylizer"),
        (["model.name=unet", "task.kind=semantic", "task.options={}", "task.style=a.png"], "task.style is for style"),
    ],
)
def test_settings_that_do_not_go_together(photos, settings, said):
    with pytest.raises(UserError, match=said):
        override(plan(photos).recipe, settings)
