"""Data as verbs open them: the classes of annotation files."""

import pytest

from atrous.verbs.opened import open_dataset_from
from tests.object_folders import COUNT, OBJECTS, voc_text, write_voc


def of_names(root, *names):
    """A folder whose objects have these names only, and the classes that its boxes have for a run with some classes."""
    write_voc(root)
    for number in range(COUNT):
        objects = [(name, box) for (_, box), name in zip(OBJECTS, names, strict=False)]
        (root / "Annotations" / f"{number}.xml").write_text(voc_text(number, objects))
    return root


@pytest.mark.parametrize(("names", "numbers"), [(["nucleus"], [1]), (["cell", "nucleus", "cell"], [2, 1, 2])])
def test_annotation_files_need_not_show_every_class_of_a_run(tmp_path, names, numbers):
    classes = ("debris", "nucleus", "cell")
    dataset = open_dataset_from(of_names(tmp_path, *names), None, "detection", classes)
    assert dataset.classes == classes
    assert all(sample.target.classes.tolist() == numbers for sample in dataset.samples)


def test_other_classes_of_annotation_files_stay(tmp_path):
    root = of_names(tmp_path, "cell", "dirt")
    assert open_dataset_from(root, None, "detection", ("cell", "nucleus")).classes == ("cell", "dirt")
    (root / "dataset.toml").write_text('classes = ["dirt", "cell"]\n')
    assert open_dataset_from(root, None, "detection", ("cell", "dirt")).classes == ("dirt", "cell")
