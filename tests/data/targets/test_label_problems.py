"""What the data doctor says of masks as a whole; its lines for single faults are tested in data/check/test_check.py."""

import numpy as np
import pytest

from atrous.verbs.check import check
from tests.data.data_folders import stripes

COLORS = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], dtype=np.uint8)


def test_colors_that_are_mapped_are_said(flat):
    toml = 'classes = ["a", "b", "c"]\npalette = [[0, 0, 0], [128, 0, 0], [0, 128, 0]]'
    found = check(flat(lambda _: COLORS[stripes()], toml=toml))
    assert found.ok
    assert "masks store colors: they are mapped to classes by `palette` in dataset.toml" in found.notes
    assert not any("store colors" in note for note in check(flat(toml='classes = ["a", "b", "c"]')).notes)


def test_values_that_are_no_class_are_not_void(flat):
    found = check(flat(lambda _: np.array([0, 7, 5], np.uint8)[stripes()], toml='classes = ["a", "b"]\nignore = [5]'))
    assert not found.ok
    assert found.ignored == pytest.approx(1 / 3)


def test_gray_levels_are_one_fault_and_no_empty_masks(flat):
    found = check(flat(lambda _: stripes() * 100))
    assert len(found.errors) == len(found.faults) == 1


def test_one_class_of_a_binary_mask_needs_its_background(flat):
    found = check(flat(lambda _: (stripes() > 0).astype(np.uint8), toml='classes = ["cell"]'))
    fix = 'name the background too: write classes = ["background", "cell"] in dataset.toml'
    assert any(fix in fault.line() for fault in found.errors), found.text()


def test_sizes_are_said_as_height_and_width(flat):
    found = check(flat(lambda i: stripes()[: 12 + 12 * (i > 0)]))
    assert "the mask is 12 x 30, its image 24 x 30 (height x width)" in found.errors[0].line()
