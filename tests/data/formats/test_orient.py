"""Arrays in other directions than they are shown or than their scan, against Pillow's and nibabel's reorientation."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from PIL import Image, ImageOps

from atrous.data.formats import Header, MapGrid, read_header, read_values
from atrous.data.formats.orient import axis_codes, turn_between, turn_onto, turn_to, turned_affine, upright
from atrous.data.source import Turned

OBLIQUE = np.array([[0.7, -0.2, 0.1, 7], [0.2, 0.7, 0.3, -3], [-0.1, -0.2, 2.4, 11], [0, 0, 0, 1]])


@given(st.permutations([0, 1, 2]), st.lists(st.sampled_from([-1, 1]), min_size=3, max_size=3))
def test_every_turn_is_undone(order, signs):
    """A volume `(I, J, K)` that nibabel stored in other directions comes back, whatever they are."""
    data = np.random.default_rng(0).integers(0, 99, (3, 4, 5))
    ornt = np.array(list(zip(order, signs, strict=True)))
    stored = apply_orientation(data, ornt)
    affine = OBLIQUE @ inv_ornt_aff(ornt, data.shape)
    turn = turn_between(affine, OBLIQUE, stored.shape[::-1])
    if list(order) == [0, 1, 2] and signs == [1, 1, 1]:
        assert turn is None
    else:
        np.testing.assert_array_equal(turn(stored.T), data.T)


@given(st.permutations([0, 1, 2]), st.lists(st.sampled_from([-1, 1]), min_size=3, max_size=3))
def test_a_volume_is_brought_to_the_wanted_axes_and_back(order, signs):
    data = np.random.default_rng(0).integers(0, 99, (3, 4, 5))
    ornt = np.array(list(zip(order, signs, strict=True)))
    stored, affine = apply_orientation(data, ornt), OBLIQUE @ inv_ornt_aff(ornt, data.shape)
    codes, wanted = axis_codes(affine), axis_codes(OBLIQUE)
    assert (tuple(codes), tuple(wanted)) == (nibabel.aff2axcodes(affine), nibabel.aff2axcodes(OBLIQUE))
    turn = turn_to(codes, wanted)
    if codes == wanted:
        assert turn is None
        return
    np.testing.assert_array_equal(turn(stored.T), data.T)
    np.testing.assert_allclose(turned_affine(affine, turn, stored.T.shape), OBLIQUE, atol=1e-12)
    np.testing.assert_array_equal(turn.back(data.T), stored.T)
    np.testing.assert_array_equal(turn.back(np.stack([data.T, -data.T])), np.stack([stored.T, -stored.T]))


def test_an_unknown_orientation_turns_nothing():
    assert axis_codes(None) == axis_codes(np.zeros((4, 4))) == ""
    assert turn_to("", "RAS") is turn_to("LPS", "") is None


@pytest.mark.parametrize("wrong", ["shifted", "turned", "finer"])
def test_another_grid_is_no_turn(wrong):
    affine = OBLIQUE @ np.diag([1, -1, 1, 1])
    affine[:3, 3] = (OBLIQUE @ [0, 3, 0, 1])[:3]
    assert turn_between(affine, OBLIQUE, (5, 4, 3)) is not None
    if wrong == "shifted":
        affine[0, 3] += 1
    elif wrong == "turned":
        affine[:3, :3] = affine[:3, :3] @ [[1, 0.1, 0], [-0.1, 1, 0], [0, 0, 1]]
    else:
        affine[:3, :3] *= 0.5
    assert turn_between(affine, OBLIQUE, (5, 4, 3)) is None
    assert turn_between(None, OBLIQUE, (5, 4, 3)) is None


def test_a_file_in_ras_lies_on_its_scan_in_lps(tmp_path):
    data = np.random.default_rng(0).integers(0, 9, (3, 4, 5)).astype(np.uint8)
    scan = nibabel.Nifti1Image(data, np.diag([-1, -1, 2, 1]))
    nibabel.save(nibabel.as_closest_canonical(scan), tmp_path / "ras.nii.gz")
    assert (io_orientation(nibabel.load(tmp_path / "ras.nii.gz").affine)[:, 1] == 1).all()
    header = read_header(tmp_path / "ras.nii.gz")
    turn = turn_between(header.affine, scan.affine, header.size)
    np.testing.assert_array_equal(turn(read_values(tmp_path / "ras.nii.gz")), data.T)


@pytest.mark.parametrize("orientation", range(10))
def test_orientations_are_those_of_pillow(orientation):
    values = np.arange(24, dtype=np.uint8).reshape(4, 6)
    image = Image.fromarray(values)
    image.getexif()[274] = orientation
    turn = upright(orientation, 2)
    truth = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(values if turn is None else turn(values), truth)
    lazy = Turned(values, (0, 1), ()) if turn is None else Turned(values, turn.order, turn.mirrored)
    assert lazy.shape == truth.shape
    for key in (np.s_[1:3, ::2], np.s_[::-1], np.s_[-1, 2:], np.s_[..., 1], np.s_[3:0:-2, 2:2], np.s_[2, -3:-1]):
        np.testing.assert_array_equal(lazy[key], truth[key])


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_map_that_is_stored_turned_lies_on_its_image(orientation):
    values = np.arange(24, dtype=np.uint8).reshape(4, 6)
    image = Header((1, 4, 6), "uint8", "map", map=MapGrid("EPSG:32633", (10.0, 0.0, 500.0, 0.0, -10.0, 900.0)))
    columns, rows = np.meshgrid(np.arange(6), np.arange(4))
    turn = upright(orientation, 2)
    x, y = turn(500 + 10 * (columns + 0.5)), turn(900 - 10 * (rows + 0.5))
    a, b, d, e = x[0, 1] - x[0, 0], x[1, 0] - x[0, 0], y[0, 1] - y[0, 0], y[1, 0] - y[0, 0]
    grid = MapGrid("EPSG:32633", (a, b, x[0, 0] - (a + b) / 2, d, e, y[0, 0] - (d + e) / 2))
    label = Header((1, *x.shape), "uint8", "map", map=grid)
    back = turn_onto(label, image, x.shape)
    np.testing.assert_array_equal(back(turn(values)), values)
    assert turn_onto(image, image, (4, 6)) is None
    other = replace(label, map=replace(grid, crs="EPSG:32632"))
    assert turn_onto(other, image, x.shape) is None
