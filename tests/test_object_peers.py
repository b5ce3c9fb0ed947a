"""`benchmarks/object_peers.py`: what peers are given, and how their answers are measured."""

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from atrous.data.targets.places import Places
from atrous.verbs.opened import open_dataset_from
from benchmarks.object_peers import export, file_name, of_label_images, show
from benchmarks.peer_fcos import factor, inputs


@pytest.fixture
def dataset(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for index in range(5):
        numbers = np.zeros((16, 16), np.uint16)
        numbers[2:7, 2:7], numbers[9:14, 8 + index % 2 : 13] = 1, 2
        Image.fromarray((numbers > 0).astype(np.uint8) * 200).save(tmp_path / "data" / "images" / f"{index}.png")
        Image.fromarray(numbers).save(tmp_path / "data" / "masks" / f"{index}.png")
    return open_dataset_from(tmp_path / "data", None, "instances")


def test_exported_masks_are_perfect_answers_and_merged_ones_are_not(dataset, tmp_path):
    export(dataset, tmp_path / "out")
    assert len(list((tmp_path / "out" / "images" / "train").iterdir())) == len(dataset.splits["train"]) == 4
    folder = tmp_path / "out" / "masks" / "val"
    values = of_label_images(dataset, folder)
    assert (values["ap50"], values["ap_mean"], values["count_mae"]) == (1, 1, 0)
    path = folder / f"{file_name(dataset.splits['val'][0].name)}.tif"
    numbers = tifffile.imread(path)
    tifffile.imwrite(path, np.where(numbers == 2, 0, numbers))
    values = of_label_images(dataset, folder)
    assert (values["ap50"], values["count_mae"]) == (0.5, 1)


def test_masks_of_a_semantic_network_say_only_where_objects_are(dataset, tmp_path):
    export(dataset, tmp_path / "out", binary=True)
    for path in (tmp_path / "out" / "masks" / "val").iterdir():
        assert np.unique(tifffile.imread(path)).tolist() == [0, 1]


@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True), (True, True)])
def test_boxes_of_torchvision_stay_on_their_objects(flips):
    image = torch.zeros(3, 8, 10, dtype=torch.uint8)
    image[:, 1:4, 2:7] = 255
    truth = Places((8, 10), np.array([[1.0, 2, 4, 7], [0, 0, 8, 10]]), np.array([2, -1]))
    given, target = inputs(image, truth, flips)
    assert target["labels"].tolist() == [3]
    left, top, right, bottom = (int(value) for value in target["boxes"][0])
    assert given[:, top:bottom, left:right].min() == 1
    assert given.sum() == 3 * 3 * 5 == 3 * (bottom - top) * (right - left)
    assert truth.places[0].tolist() == [1, 2, 4, 7]


def test_the_rate_warms_up_and_falls_twice():
    assert factor(0, 0.0) == pytest.approx(1 / 1000)
    assert factor(10, 0.025) == pytest.approx(0.5)
    assert [factor(5000, share) for share in (0.5, 0.7, 0.9)] == pytest.approx([1, 0.1, 0.01])


def test_rows_of_two_tasks_are_two_tables(capsys):
    boxes = {"method": "a", "task": "detection", "minutes": 1.0, "map50": 0.5, "map": 0.3, "map75": 0.2, "f1": 0.6}
    names = ("ap50", "ap_mean", "pq", "f1", "seg", "count_mae")
    show([boxes, {"method": "b", "task": "instances", "minutes": None, "steps": 7} | dict.fromkeys(names, 0.25)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["method", "b", "method", "a"]
    assert lines[1].split()[1:] == ["-", "7", *["0.2500"] * 6]
    assert len(lines) == 6
