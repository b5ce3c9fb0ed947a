"""The recipe of motion."""

import pytest

from atrous.data.background import Background
from atrous.errors import UserError
from atrous.recipe.background import background_of_task
from atrous.recipe.build import build_expected, build_network, describe
from atrous.recipe.plan import Request
from atrous.recipe.schema import override
from atrous.verbs.check import check
from atrous.verbs.kinds import KINDS
from tests.pairs import write_scene


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    found = check(write_scene(tmp_path_factory.mktemp("data") / "shop"))
    return KINDS[found.dataset.kind].plan(found.dataset, found.fingerprint, Request(epochs=1)).recipe


def test_a_small_network_at_full_resolution_sees_frame_background_and_difference(recipe):
    assert recipe.data.kind == "scenes"
    assert (recipe.model.compare, recipe.model.temporal, recipe.model.in_channels) == ("values", "frames", 6)
    assert recipe.model.mean[:3] == recipe.model.mean[3:]
    assert recipe.train.crop[0] == 1
    network = build_network(recipe.model, 2)
    assert network.encoder.strides[0] == (1, 1)
    assert describe(recipe.model) == "fcn over resnet of two images and their difference, frame by frame"


def test_prediction_finds_the_background_as_training_does(recipe):
    assert background_of_task(recipe.task) == Background()
    expected = build_expected(recipe)
    assert expected.background == Background()
    assert (expected.of_file.count, expected.channels.count) == (3, 6)
    other = override(recipe, ["task.options.background_span=64"])
    assert build_expected(other).background == Background(32, 64)


@pytest.mark.parametrize("value", ["16", "true", "1.5"])
def test_a_span_that_does_not_fit_is_refused(recipe, value):
    with pytest.raises(UserError, match="background_span"):
        override(recipe, [f"task.options.background_span={value}"])
