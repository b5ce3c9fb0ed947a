"""Votes or stars: what the plan takes, and why."""

from types import SimpleNamespace

import pytest

from atrous.errors import UserError
from atrous.recipe.shape import plan_shape

OPTIONS = {"ndim": 2, "scale": 8.0, "apart": 4.0, "astray": 12.0, "smallest": 9}


def planned(wanted, iou, ndim=2):
    reasons = {"task.options": "objects have a radius"}
    options = OPTIONS | {"ndim": ndim}
    return plan_shape(options, wanted, SimpleNamespace(star_iou=iou, ndim=ndim), reasons), reasons["task.options"]


@pytest.mark.parametrize(("wanted", "iou"), [(None, 0.99), ("votes", 0.99), ("auto", 0.7)])
def test_votes_keep_their_keys(wanted, iou):
    assert planned(wanted, iou)[0] == {"shape": "votes", **OPTIONS}


@pytest.mark.parametrize(("wanted", "iou"), [("stars", 0.7), ("stars", None), ("auto", 0.95)])
def test_stars_have_theirs(wanted, iou):
    options, reason = planned(wanted, iou)
    assert options == {"shape": "stars", "rays": 32, "ndim": 2, "scale": 8.0, "smallest": 9}
    assert iou is None or f"IoU of {iou:.2f}" in reason


def test_auto_says_what_it_measured():
    assert "IoU of 0.70" in planned("auto", 0.7)[1]


def test_auto_takes_votes_of_signals():
    assert planned("auto", None, 1)[0]["shape"] == "votes"


@pytest.mark.parametrize(("iou", "shape"), [(0.84, "votes"), (0.86, "stars")])
def test_volumes_have_rays_and_a_limit_of_their_own(iou, shape):
    options, reason = planned("auto", iou, 3)
    assert options["shape"] == shape
    assert options.get("rays") == (96 if shape == "stars" else None)
    assert (
        f"star-convex polyhedra reproduce the objects with a mean IoU of {iou:.2f} (auto takes them from 0.85)"
        in reason
    )
    assert planned("stars", None, 3)[0] == {"shape": "stars", "rays": 96, "ndim": 3, "scale": 8.0, "smallest": 9}


@pytest.mark.parametrize(
    ("wanted", "ndim", "words"), [("stars", 1, "have one axis: write votes"), ("circles", 2, "votes, stars, auto")]
)
def test_what_cannot_be_is_refused(wanted, ndim, words):
    with pytest.raises(UserError, match=words):
        planned(wanted, None, ndim)
