"""The length of a step along each axis."""

import numpy as np
import pytest

from atrous.objects.steps import unit_steps


@pytest.mark.parametrize("aspect", [(5.0, 1.0, 1.0), [0.3, 0.1, 0.2], (2, 7), (4.0,)])
def test_a_position_has_the_volume_of_a_cube_of_the_unit(aspect):
    steps = np.array(unit_steps(aspect, len(aspect)))
    assert steps.prod() == pytest.approx(1)
    assert np.allclose(steps / steps[0], np.array(aspect) / aspect[0])


@pytest.mark.parametrize("aspect", [(), (1.0, 1.0, 1.0), (0.37, 0.37, 0.37)])
def test_equal_steps_are_exactly_one(aspect):
    assert unit_steps(aspect, 3) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("aspect", "words"),
    [
        ((1.0, 2.0), "give 3 numbers"),
        (2.0, "one for each axis"),
        ("1, 1, 2", "one for each axis"),
        ([1.0, 0.0, 1.0], "above 0"),
        ([1.0, -2.0, 1.0], "above 0"),
        ([1.0, float("nan"), 1.0], "above 0"),
        ([1.0, float("inf"), 1.0], "above 0"),
        ([1.0, "2", 1.0], "above 0"),
    ],
)
def test_what_are_no_distances_is_refused(aspect, words):
    with pytest.raises(ValueError, match=words):
        unit_steps(aspect, 3)
