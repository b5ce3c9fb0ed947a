"""Recipes of tasks whose samples are two images."""

import numpy as np
import pytest

from atrous.encoders.lite import LITE_MEAN, lite_weights
from atrous.errors import UserError
from atrous.recipe.build import build_apart, build_expected, build_network, describe
from atrous.recipe.plan import Request
from atrous.recipe.schema import override
from atrous.verbs.check import check, check_layout
from atrous.verbs.kinds import KINDS
from atrous.verbs.opened import open_data
from tests.pairs import write_pairs


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    found = check(write_pairs(tmp_path_factory.mktemp("data") / "pairs"))
    return KINDS[found.dataset.kind].plan(found.dataset, found.fingerprint, Request(epochs=1))


def test_one_encoder_sees_both_dates_and_crops_are_shifted_apart(planned):
    recipe = planned.recipe
    assert recipe.model.compare == "features"
    assert recipe.model.in_channels == 6
    assert (recipe.augment.shift, recipe.augment.apart) == (2.0, True)
    assert recipe.augment.flip == [True, True]
    assert recipe.task.class_weights is None
    assert planned.reasons["augment.shift"]
    assert build_apart(recipe).shift == 2.0
    assert build_expected(recipe).images == 2
    if lite_weights() is not None:
        assert recipe.model.encoder == "efficientnet_lite0"
        assert recipe.model.mean == [*LITE_MEAN] * 2


def test_the_network_is_siamese(planned):
    small = ["model.encoder=resnet", "model.pretrained=false", "model.depth=10", "model.encoder_width=8"]
    recipe = override(planned.recipe, small)
    network = build_network(recipe.model, 2)
    assert network.encoder.inner.in_channels == 3
    assert describe(recipe.model) == "fcn over resnet, siamese"
    early = override(recipe, ["model.compare=values"])
    assert build_network(early.model, 2).encoder.inner.in_channels == 9
    joined = override(recipe, ["model.compare=channels"])
    assert build_network(joined.model, 2).encoder.in_channels == 6


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["task.kind=semantic"], "model.compare is for change and motion, not for task.kind = 'semantic'"),
        (
            ["model.compare=channels", "augment.apart=false", "task.kind=semantic"],
            "augment.shift is for change and motion",
        ),
        (["model.in_channels=5"], "samples of two images: model.in_channels must be even"),
        (["model.name=five_layer"], "model.compare is for models over an encoder, not for model.name = 'five_layer'"),
    ],
)
def test_what_does_not_fit_is_refused(planned, settings, said):
    with pytest.raises(UserError, match=said.replace("(", r"\(")):
        override(planned.recipe, settings)


def plan_arrays(images, labels):
    opened = open_data((images, labels), task="change")
    found = check_layout(opened.root, opened.description, opened.layout)
    return KINDS["grids"].plan(found.dataset, found.fingerprint, Request(epochs=1)).recipe


def test_arrays_of_two_images_are_pairs():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (2, 32, 32), dtype=np.uint8) for _ in range(4)]
    labels = [(image[0] > 128).astype(np.uint8) for image in images]
    recipe = plan_arrays(images, labels)
    assert (recipe.task.kind, recipe.model.compare, recipe.model.encoder) == ("change", "features", "resnet")
    with pytest.raises(UserError, match=r"1 channel\(s\): give both images of a pair as one"):
        plan_arrays([image[:1] for image in images], labels)
