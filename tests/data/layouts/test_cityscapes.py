"""Cityscapes as it is downloaded, in small."""

import numpy as np
import pytest

from atrous.data.dataset import open_dataset
from atrous.data.layouts.cityscapes import CLASSES, VOID, label_files
from atrous.labels import IGNORE
from atrous.verbs.check import check
from tests.data.data_folders import SIZE, picture, save

IDS = np.array([7, 8, 26, 33, 0, 30], np.uint8)
TRAIN_IDS = np.array([0, 1, 13, 18, 255, 255], np.uint8)
BANDS = np.repeat(np.arange(6), 4)[:, None].repeat(SIZE[1], 1)


def download(root, train_ids=True, coarse=False):
    for split, towns in (("train", ("aachen", "bochum")), ("val", ("frankfurt",)), ("test", ("berlin",))):
        for town in towns:
            for i in range(2):
                base = f"{split}/{town}/{town}_{i:06}_000019"
                save(root / f"leftImg8bit/{base}_leftImg8bit.png", picture(10 * len(town) + i))
                for kind in ("gtFine", "gtCoarse") if coarse else ("gtFine",):
                    start = root / kind / f"{base}_{kind}"
                    save(start.with_name(start.name + "_labelIds.png"), IDS[BANDS])
                    save(start.with_name(start.name + "_instanceIds.png"), IDS[BANDS].astype(np.uint16) * 1000)
                    save(start.with_name(start.name + "_color.png"), picture(i, 4))
                    start.with_name(start.name + "_polygons.json").write_text("{}")
                    if train_ids:
                        save(start.with_name(start.name + "_labelTrainIds.png"), TRAIN_IDS[BANDS])
    return root


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("train_ids", [False, True])
def test_the_19_classes_are_learned_from_either_file(tmp_path, train_ids, coarse):
    found = check(download(tmp_path, train_ids, coarse))
    assert found.ok
    dataset = found.dataset
    assert dataset.classes == tuple(CLASSES)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 4, "val": 2, "test": 2}
    for sample in dataset.samples:
        assert sample.target.path.name.startswith(sample.image.path.name.removesuffix("leftImg8bit.png"))
        assert sample.target.path.parent.parent.parent.name == "gtFine"
        np.testing.assert_array_equal(sample.target.read(), TRAIN_IDS[BANDS])
    assert ("labelTrainIds" if train_ids else "labelIds") in dataset.layout
    assert not [problem for problem in found.faults if problem.kind in ("no mask", "no image")]


def test_the_key_chooses_the_file_and_the_classes(tmp_path):
    root = download(tmp_path)
    (root / "dataset.toml").write_text('mask_suffix = "_labelIds"\n')
    assert "labelIds" in open_dataset(root).layout
    assert open_dataset(root).classes == tuple(CLASSES)
    (root / "dataset.toml").write_text(f'mask_suffix = "_labelIds"\nvalues = {list(range(34))}\n')
    dataset = open_dataset(root)
    assert len(dataset.classes) == 34
    np.testing.assert_array_equal(dataset.samples[0].target.read(), IDS[BANDS])
    (root / "dataset.toml").write_text('mask_suffix = "_instanceIds"\nobjects = 1000\n')
    dataset = open_dataset(root)
    assert dataset.classes == tuple(CLASSES)
    np.testing.assert_array_equal(dataset.samples[0].target.read(), TRAIN_IDS[BANDS])


def test_classes_of_instances_below_1000_have_no_objects(tmp_path):
    values = np.array([7, 8, 26000, 33001, 0, 30], np.uint16)
    root = download(tmp_path)
    for path in root.rglob("*_instanceIds.png"):
        save(path, values[BANDS])
    (root / "dataset.toml").write_text('mask_suffix = "_instanceIds"\nobjects = 1000\n')
    np.testing.assert_array_equal(open_dataset(root).samples[0].target.read(), TRAIN_IDS[BANDS])


def test_the_mapping_covers_every_value_once():
    assert sorted([*CLASSES.values(), *VOID]) == [*range(34), IGNORE]
    assert len(CLASSES) == 19
    assert label_files(["a_mask", "b_mask"], None, None) is None
    assert label_files(["a_gtFine_labelIds"], ("_color",), None) is None
    assert label_files(["a_gtFine_instanceIds"], ("_instanceIds",), None) is None


def test_other_sets_with_several_files_are_asked_for(tmp_path):
    from atrous.errors import UserError

    for i in range(3):
        save(tmp_path / f"images/{i}_view.png", picture(i))
        for end in ("color", "ids"):
            save(tmp_path / f"masks/{i}_truth_{end}.png", (BANDS % 3).astype(np.uint8))
    with pytest.raises(UserError, match=r'names of masks end in _color, _ids: write the one .* mask_suffix = "_color"'):
        check(tmp_path)
    (tmp_path / "dataset.toml").write_text('mask_suffix = "_truth_ids"\n')
    assert len(open_dataset(tmp_path).samples) == 3


def test_kitti(tmp_path):
    for i in range(3):
        for folder, pixels in (("image_2", picture(i)), ("semantic", IDS[BANDS]), ("semantic_rgb", picture(i + 9))):
            save(tmp_path / f"training/{folder}/{i:06}_10.png", pixels)
        save(tmp_path / f"training/instance/{i:06}_10.png", IDS[BANDS].astype(np.uint16) * 256)
        save(tmp_path / f"testing/image_2/{i:06}_10.png", picture(i + 20))
    dataset = open_dataset(tmp_path)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 2, "val": 1, "test": 3}
    assert dataset.samples[0].target.path.parent.name == "semantic"
