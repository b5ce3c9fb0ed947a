"""A recipe is held against the data before anything is built from it."""

import pytest

from atrous.errors import UserError
from atrous.recipe.agree import agree_with_data
from atrous.recipe.plan import Request, plan_grids
from atrous.recipe.schema import override
from atrous.verbs.check import check


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["data.val=foo"], "data.val is 'foo', but .*squares has the splits train, val"),
        (["data.train=foo"], "data.train is 'foo'"),
        (["model.in_channels=3", "model.mean=[0, 0, 0]", "model.std=[1, 1, 1]"], r"read with 1 channel\(s\)"),
        (["model.ndim=1", "train.crop=[64]", "augment.flip=[false]"], "has 2 axes"),
        (['task.classes=["a", "b", "c"]', "task.palette=[]", "task.class_weights=none"], "correct task.classes"),
        (["task.kind=stranded"], "data for 'semantic'"),
        (["train.whole=true", "train.batch_size=2"], "a step takes one sample, but train.batch_size is 2"),
        (["train.whole=true", "train.batch_size=1", "train.precision=bf16-mixed"], "strips are computed in float32"),
        (
            ["train.whole=true", "train.batch_size=1", "train.precision=32-true", "model.deep_supervision=true"],
            "set model.deep_supervision=false",
        ),
    ],
)
def test_what_the_data_do_not_have_is_named(settings, words, squares):
    found = check(squares)
    recipe = plan_grids(found.dataset, found.fingerprint, Request()).recipe
    agree_with_data(recipe, found.dataset, found.fingerprint)
    with pytest.raises(UserError, match=words):
        agree_with_data(override(recipe, settings), found.dataset, found.fingerprint)
