"""Colors as numbers."""

from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.data.formats import code_color, color_code


@settings(deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_color_codes_and_colors_are_one_to_one(color):
    assert code_color(color_code(color)) == color
