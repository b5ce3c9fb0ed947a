"""The plan of edges: the network, the consensus of the annotators, and crops that images fill."""

import numpy as np
import pytest
from PIL import Image

from atrous.errors import UserError
from atrous.recipe.edges import plan_edges
from atrous.recipe.plan import Request
from atrous.recipe.schema import check_settings, override, validate
from atrous.tasks.edges import EdgeTask
from atrous.verbs.check import check, check_layout
from atrous.verbs.opened import open_data


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for folder in ("images", "edges"):
        (root / folder).mkdir()
    for number in range(4):
        lines = np.zeros((70, 170), bool)
        lines[10 + number] = True
        Image.fromarray(np.full((70, 170, 3), 90, np.uint8)).save(root / "images" / f"{number}.png")
        Image.fromarray(lines).save(root / "edges" / f"{number}.png")
    (root / "dataset.toml").write_text("palette = [[0, 0, 0], [9, 9, 9]]\n")
    return check(root, task="edges")


def test_edges_are_planned(checked):
    planned = plan_edges(checked.dataset, checked.fingerprint, Request(minutes=5))
    recipe = planned.recipe
    assert (recipe.model.name, recipe.task.kind, recipe.task.palette, recipe.task.dice) == ("hed", "edges", [], 0)
    assert recipe.task.options == {"eta": 0.3, "negative_weight": 1.1}
    assert recipe.train.crop == [64, 64]
    assert recipe.augment.foreground == 0
    assert recipe.train.minutes == 5
    assert {"model.name", "task.options", "train.crop", "augment.rotate"} <= set(planned.reasons)
    assert isinstance(EdgeTask.build(recipe.task.model_dump()), EdgeTask)
    assert override(recipe, ["task.options.eta=0.5"]).task.options["eta"] == 0.5


def test_keys_of_edges_are_for_edges(checked):
    recipe = plan_edges(checked.dataset, checked.fingerprint, Request(minutes=5)).recipe
    for setting, said in (
        ("task.kind=regression", "task.boundaries is for edges, not for task.kind = 'regression'"),
        ("model.deep_supervision=true", "has deep supervision of its own"),
        ("model.name=fcn", "model.detail is for hed, not for model.name = 'fcn'"),
    ):
        with pytest.raises(UserError, match=said):
            override(recipe, ["task.boundaries=true", "model.detail=8", setting])
    check_settings(["task.boundaries=false"])
    values = recipe.model_dump()
    values["task"]["options"]["eta"] = 2
    with pytest.raises(UserError, match=r"task\.options\.eta = 2: give a share"):
        validate(values, "recipe")


def test_volumes_are_refused():
    opened = open_data(
        ([np.zeros((1, 16, 20, 24))] * 4, [np.eye(20, 24, dtype=int)[None].repeat(16, 0)] * 4), task="edges"
    )
    found = check_layout(opened.root, opened.description, opened.layout)
    assert not found.ok
    assert "labels with 3 axes: give images: edges are learned from these" in found.text()
