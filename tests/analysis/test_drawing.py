"""Charts and heat maps: what they hold, and the files they are written to."""

import numpy as np
import pytest

from atrous.analysis.drawing import image, legend, outline, panels, planes, save
from atrous.errors import UserError


def test_panels_stand_in_a_row_of_equal_size():
    figure, charts = panels(3, 2.0, 1.5)
    assert len(charts) == 3
    assert tuple(figure.get_size_inches()) == (6.0, 1.5)
    assert [chart.get_subplotspec().num1 for chart in charts] == [0, 1, 2]


def test_planes_of_a_volume_go_through_its_middle():
    volume = np.arange(4 * 6 * 8).reshape(4, 6, 8)
    result = planes(volume)
    assert [axes for _, _, axes in result] == [(1, 2), (0, 2), (0, 1)]
    for plane, expected in zip([p for _, p, _ in result], [volume[2], volume[:, 3], volume[:, :, 4]], strict=True):
        np.testing.assert_array_equal(plane, expected)
    ((title, plane, axes),) = planes(volume[0])
    assert (title, axes) == ("", (0, 1))
    np.testing.assert_array_equal(plane, volume[0])


@pytest.mark.parametrize(
    ("options", "limits"), [({}, (0, 3)), ({"signed": True}, (-3, 3)), ({"top": 5.0, "signed": True}, (-5, 5))]
)
def test_the_colors_of_a_heat_map_reach_to_the_largest_value(options, limits):
    _, (chart,) = panels(1)
    shown = image(chart, np.array([[1.0, -3.0], [0.5, 2.0]]), **options)
    assert shown.get_clim() == limits


def test_a_plane_of_zeros_can_be_drawn():
    _, (chart,) = panels(1)
    assert image(chart, np.zeros((2, 2))).get_clim() == (0, 1)


def test_an_outline_runs_around_the_cells():
    _, (chart,) = panels(1)
    outline(chart, ((2, 5), (1, 3)))
    x, y = chart.lines[0].get_data()
    assert (min(x), max(x), min(y), max(y)) == (0.5, 2.5, 1.5, 4.5)
    assert (x[0], y[0]) == (x[-1], y[-1])


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".PDF", b"%PDF")])
def test_pictures_are_written_by_their_suffix(tmp_path, suffix, start):
    figure, (chart,) = panels(1)
    chart.plot([0, 1], label="curve")
    legend(chart)
    path = tmp_path / f"chart{suffix}"
    assert save(figure, str(path)) == path
    assert path.read_bytes().startswith(start)


def test_other_suffixes_and_folders_that_do_not_exist_are_refused(tmp_path):
    figure, _ = panels(1)
    with pytest.raises(UserError, match="correct the suffix"):
        save(figure, tmp_path / "chart.jpg")
    with pytest.raises(UserError, match="create it first"):
        save(figure, tmp_path / "none" / "chart.png")
    assert list(tmp_path.iterdir()) == []
