"""Inputs of prediction."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from atrous.data.dataset import open_dataset
from atrous.data.preprocess import Expected, Preparation, Wanted, prepare, to_channels
from atrous.errors import UserError
from atrous.prediction.inputs import find_inputs, open_input
from tests.data.data_folders import picture, save
from tests.volumes import write_signals, write_volumes

RNG = np.random.default_rng(0)


def volume(path, shape=(6, 7, 8), zooms=(1.0, 1.0, 2.0)):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(RNG.normal(90, 7, shape).astype(np.float32), np.diag([*zooms, 1])), path)


def test_folders_keep_their_structure_and_files_their_kind(tmp_path):
    save(tmp_path / "a" / "x.jpg", picture(0))
    save(tmp_path / "a" / "b" / "y.tif", picture(0))
    found = find_inputs([tmp_path / "a"], ndim=2, channels=3)
    assert sorted(str(item.relative) for item in found) == ["b/y.tif", "x.png"]
    globbed = find_inputs([str(tmp_path / "a" / "**" / "*.tif"), tmp_path / "a" / "x.jpg"], ndim=2, channels=3)
    assert [str(item.relative) for item in globbed] == ["y.tif", "x.png"]


def test_masks_beside_their_images_are_no_inputs_and_that_is_said_in_one_line(tmp_path):
    for name in ("x.png", "x_mask.png", "b/y.tif", "b/y_mask_1.tif", "b/y_mask_2.tif", "c/z_mask.png"):
        save(tmp_path / name, picture(0))
    said = []
    found = find_inputs([tmp_path], ndim=2, channels=3, tell=said.append)
    assert [str(item.relative) for item in found] == ["b/y.tif", "c/z_mask.png", "x.png"]
    assert said == [
        f"{tmp_path}: 3 masks beside their images are left out (y_mask_1.tif): to label one, give the file itself"
    ]
    given = find_inputs([tmp_path / "x_mask.png", tmp_path / "c"], ndim=2, channels=3, tell=said.append)
    assert [str(item.relative) for item in given] == ["x_mask.png", "z_mask.png"]
    assert len(said) == 1


def read(channels):
    return Expected(Wanted(channels))


def test_channels_of_a_case_are_one_input(tmp_path):
    for name in ("p1_0000", "p1_0001", "p2_0000", "p2_0001"):
        volume(tmp_path / f"{name}.nii.gz")
    found = find_inputs([tmp_path], ndim=3, channels=2)
    assert [str(item.relative) for item in found] == ["p1.nii.gz", "p2.nii.gz"]
    opened = open_input(found[0], expected=read(2), preparation=Preparation(("zscore",)))
    assert opened.source.shape == (2, 8, 7, 6)
    values = opened.source[...]
    np.testing.assert_allclose(values.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(values.std((1, 2, 3)), 1, atol=1e-5)
    assert not opened.resampled


@pytest.mark.parametrize("how", [Preparation(("zscore",)), Preparation(("zscore",), spacing=(1.0, 1.0, 1.0))])
def test_what_is_predicted_is_what_was_trained_on(tmp_path, how):
    dataset = open_dataset(write_volumes(tmp_path / "data"))
    for sample in dataset.samples:
        opened = open_input(*find_inputs([sample.image.path], ndim=3, channels=1), expected=read(1), preparation=how)
        expected = prepare(sample.image.load(), how, dataset.spacing_of(sample))
        np.testing.assert_allclose(np.asarray(opened.source[...]), expected, atol=1e-4)
        assert opened.resampled == bool(how.spacing)
        assert opened.size == sample.image.load().shape[1:]


def test_the_folder_in_which_one_is_has_its_own_name(tmp_path, monkeypatch):
    """Labels of `.` would be put beside those of other videos, and those of `..` into the folder above."""
    (tmp_path / "shop" / "inside").mkdir(parents=True)
    save(tmp_path / "shop" / "0.png", picture(0))
    for kind in ("videos", "scenes"):
        for place, given in ((tmp_path / "shop", "."), (tmp_path / "shop" / "inside", "..")):
            monkeypatch.chdir(place)
            assert [item.relative for item in find_inputs([given], ndim=3, channels=3, kind=kind)] == [Path("shop")]


def test_signals_are_inputs_of_networks_of_one_axis(tmp_path):
    write_signals(tmp_path / "ecg", count=2)
    found = find_inputs([tmp_path / "ecg"], ndim=1, channels=1)
    assert [str(item.relative) for item in found] == ["patient0.csv", "patient1.csv"]
    assert open_input(found[0], expected=read(1), preparation=Preparation()).source.shape == (1, 400)
    with pytest.raises(UserError, match="no inputs in it"):
        find_inputs([tmp_path / "ecg"], ndim=2, channels=1)


def test_mistakes_are_named(tmp_path):
    save(tmp_path / "x.jpg", picture(0))
    save(tmp_path / "x.png", picture(0))
    with pytest.raises(UserError, match=r"would both be written to x\.png: predict them into different folders"):
        find_inputs([tmp_path], ndim=2, channels=3)
    with pytest.raises(UserError, match="no such file"):
        find_inputs([tmp_path / "nothing"], ndim=2, channels=3)
    volume(tmp_path / "v" / "a_0000.nii.gz")
    with pytest.raises(UserError, match="1 channel, but the network reads 2"):
        open_input(*find_inputs([tmp_path / "v"], ndim=3, channels=2), expected=read(2), preparation=Preparation())
    volume(tmp_path / "v" / "a_0001.nii.gz", (6, 7, 9))
    with pytest.raises(UserError, match="resample them to one grid"):
        open_input(*find_inputs([tmp_path / "v"], ndim=3, channels=2), expected=read(2), preparation=Preparation())


def test_gray_and_color_become_each_other(tmp_path):
    save(tmp_path / "gray.png", picture(0, channels=1))
    save(tmp_path / "color.tif", picture(1))
    gray, color = find_inputs([tmp_path / "gray.png", tmp_path / "color.tif"], ndim=2, channels=3)
    wide = open_input(gray, expected=read(3), preparation=Preparation()).source
    np.testing.assert_array_equal(wide[:, 2:5], np.repeat(picture(0, channels=1)[None, 2:5], 3, 0))
    narrow = open_input(color, expected=read(1), preparation=Preparation()).source
    np.testing.assert_array_equal(narrow, to_channels(np.moveaxis(picture(1), -1, 0), Wanted(1), color.path))


def test_hidden_folders_and_those_of_the_system_are_left_out(tmp_path):
    hidden = (".b.png", ".ipynb_checkpoints/a.png", "__MACOSX/a.png", "@eaDir/a.png/thumb.jpg")
    for name in ("a.png", "sub/c.png", *hidden):
        save(tmp_path / name, picture(0))
    found = find_inputs([tmp_path], ndim=2, channels=3)
    assert [str(item.relative) for item in found] == ["a.png", "sub/c.png"]


@pytest.mark.parametrize("channels", [1, 2])
def test_the_rows_of_an_array_are_the_channels_that_a_network_of_one_axis_reads(tmp_path, channels):
    values = RNG.normal(size=(channels, 50)).astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    item = find_inputs([tmp_path / "a.npy"], ndim=1, channels=channels)[0]
    opened = open_input(item, expected=read(channels), preparation=Preparation(), ndim=1)
    assert opened.size == (50,)
    np.testing.assert_array_equal(np.asarray(opened.source[...]), values)
    as_image = open_input(item, expected=read(1), preparation=Preparation(), ndim=2)
    assert as_image.size == (channels, 50)
