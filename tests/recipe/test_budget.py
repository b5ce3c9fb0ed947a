"""The time that a training has decides the size of its network."""

import pytest

from atrous.recipe.budget import OBJECT_NETWORKS, NetworkChoice, affordable
from atrous.recipe.plan import Request, plan_grids
from atrous.verbs.check import check
from tests.verbs.test_instances import write_cells


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    return check(write_cells(tmp_path_factory.mktemp("cells") / "data", count=20))


@pytest.mark.parametrize(
    ("length", "depth", "batch"),
    [
        ({"minutes": 1.0}, 10, 2),
        ({"minutes": 19.9}, 10, 2),
        ({"minutes": 20.0}, 18, 4),
        ({"minutes": 60.0}, 18, 4),
        ({"minutes": 60.0, "rate": 2.0}, 10, 2),
        ({"minutes": 8.0, "rate": 20.0}, 18, 4),
        ({"epochs": 500.0}, 10, 2),
        ({}, 10, 2),
    ],
)
def test_objects_get_a_deeper_network_where_there_is_time(length, depth, batch, checked):
    planned = plan_grids(checked.dataset, checked.fingerprint, Request(**length))
    assert (planned.recipe.model.depth, planned.recipe.train.batch_size) == (depth, batch)
    assert ("there is time for more layers" in planned.reasons["model.depth"]) == (depth == 18)


def test_what_has_no_objects_is_planned_as_before(digits):
    found = check(digits)
    plans = [plan_grids(found.dataset, found.fingerprint, Request(minutes=minutes)).recipe for minutes in (5.0, 60.0)]
    assert plans[0].model == plans[1].model
    assert plans[0].train.batch_size == plans[1].train.batch_size


def test_choices_are_in_the_order_of_their_crops_and_there_is_always_one():
    crops = [choice.crops for choice in OBJECT_NETWORKS]
    assert crops == sorted(set(crops))
    assert crops[0] == 0
    small, large = NetworkChoice(1, 1, 0.0, "small"), NetworkChoice(2, 1, 5.0, "large")
    assert affordable((small, large), 0.0) is small
    assert affordable((small, large), 5.0) is large
