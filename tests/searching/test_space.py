"""Points of a space: equal recipes are equal points."""

import numpy as np
import pytest

from atrous.errors import UserError
from atrous.searching.space import Space, Variable

SPACE = Space(
    (
        Variable("encoder", {"resnet18": (), "resnet10": ("model.depth=10",), "lite": ("model.encoder=lite",)}),
        Variable("stem", {"3": (), "7": ("model.stem=7",)}, {"encoder": ("resnet18", "resnet10")}),
        Variable("decoder", {"fcn": (), "deeplab": ("model.name=deeplab",)}),
        Variable("rates", {"6": (), "3": ("model.rates=[3]",)}, {"decoder": ("deeplab",)}),
        Variable("rate", {"0.001": (), "0.003": ("train.learning_rate=0.003",)}),
    )
)


def test_every_different_point_comes_once():
    points = list(SPACE.points())
    texts = {SPACE.text(point) for point in points}
    assert len(points) == len(texts) == (2 * 2 + 1) * (1 + 2) * 2
    assert SPACE.at_most == 3 * 2**4
    assert points[0] == SPACE.planned
    assert SPACE.settings(SPACE.planned) == []


def test_what_does_not_matter_makes_no_other_point():
    one = {"encoder": "lite", "stem": "7", "decoder": "fcn", "rates": "3", "rate": "0.003"}
    other = one | {"stem": "3", "rates": "6"}
    assert SPACE.canonical(one) == other
    assert SPACE.text(one) == SPACE.text(other) == "encoder=lite decoder=fcn rate=0.003"
    assert SPACE.settings(one) == ["model.encoder=lite", "train.learning_rate=0.003"]


def test_distances_count_what_matters_and_the_section_that_is_asked():
    far = {"encoder": "lite", "stem": "7", "decoder": "deeplab", "rates": "3", "rate": "0.003"}
    assert SPACE.distance(SPACE.planned, far) == 4
    assert SPACE.distance(SPACE.planned, far, "model") == 3
    assert SPACE.distance(far, far | {"stem": "3"}) == 0


def test_drawn_points_are_points_and_all_come():
    generator = np.random.default_rng(0)
    drawn = {SPACE.text(SPACE.random(generator)) for _ in range(600)}
    assert drawn == {SPACE.text(point) for point in SPACE.points()}


def test_what_is_fixed_holds_as_in_the_plan():
    without = SPACE.without(["model.encoder"])
    assert [variable.name for variable in without.variables] == ["stem", "decoder", "rates", "rate"]
    assert without.variables[0].needs == {}  # the planned encoder has a stem
    assert [v.name for v in SPACE.without(["model.name"]).variables] == ["encoder", "stem", "rate"]  # and no rates
    assert [v.name for v in SPACE.only(["rate", "stem"]).variables] == ["stem", "rate"]
    with pytest.raises(UserError, match="--vary color: the search can vary encoder, stem, decoder, rates, rate"):
        SPACE.only(["color"])


def test_it_comes_back_from_json():
    assert Space.from_dict(SPACE.to_dict()) == SPACE
