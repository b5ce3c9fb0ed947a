"""Whether the plan lets the network see motion."""

import pytest

from atrous.errors import UserError
from atrous.recipe.build import build_network, describe
from atrous.recipe.moving import speed_ratio
from atrous.recipe.plan import Request
from atrous.recipe.schema import override
from atrous.training.settings import Settings
from atrous.training.step import parameter_groups
from atrous.verbs.check import check
from atrous.verbs.kinds import KINDS
from tests.clips import write_panning


def planned(root):
    found = check(root)
    return found.dataset, KINDS[found.dataset.kind].plan(found.dataset, found.fingerprint, Request(epochs=1))


def test_an_object_that_moves_against_the_camera_is_seen_by_its_motion(tmp_path):
    dataset, plan = planned(write_panning(tmp_path / "moving", clips=3))
    ratio = speed_ratio(dataset)
    assert ratio is not None
    assert ratio > 4
    model = plan.recipe.model
    assert (model.motion, model.causal, model.temporal, model.shrink) == (True, True, "levels", 1)
    assert f"{ratio:.1f} times as fast" in plan.reasons["model.motion"]
    assert "with motion, mixed along time, causal" in describe(model)
    network = build_network(model.model_copy(update={"pretrained": False}), 2)
    assert (network.in_channels, network.encoder.in_channels) == (3, 6)


def test_large_frames_are_shrunk_and_crops_grow_with_them(tmp_path):
    _, plan = planned(write_panning(tmp_path / "large", clips=2, frames=3, size=(480, 640)))
    model, train = plan.recipe.model, plan.recipe.train
    assert (model.motion, model.shrink) == (True, 2)
    assert train.crop[0] == 3
    assert all(length % 64 == 0 for length in train.crop[1:])
    assert plan.recipe.augment.scale[1] == 1.5


def test_what_moves_with_the_camera_is_not(tmp_path):
    root = write_panning(tmp_path / "still", clips=2)
    from PIL import Image

    for file in (root / "Annotations").rglob("*.png"):  # another part of the ground is the object now
        mask = Image.new("L", (80, 64))
        mask.paste(255, (0, 0, 30, 8))
        mask.save(file)
    dataset, plan = planned(root)
    ratio = speed_ratio(dataset)
    assert ratio is not None
    assert ratio < 1.5
    assert not plan.recipe.model.motion


def test_motion_needs_a_network_for_video(tmp_path):
    _, plan = planned(write_panning(tmp_path / "moving", clips=2, frames=3))
    for changes in (['model.temporal="none"', "model.causal=false"], ["model.name=five_layer"]):
        with pytest.raises(UserError, match=r"model\.motion is for"):
            override(plan.recipe, changes)


def test_only_pretrained_weights_learn_at_the_lower_rate(tmp_path):
    _, plan = planned(write_panning(tmp_path / "moving", clips=2, frames=3))
    network = build_network(plan.recipe.model, 2)
    groups = parameter_groups(network, Settings(encoder_rate=0.25))
    lower = {id(p) for group in groups if group["factor"] == 0.25 for p in group["params"]}
    pretrained = network.encoder.frame.parameters() if plan.recipe.model.pretrained else ()
    assert lower == {id(p) for p in pretrained}
