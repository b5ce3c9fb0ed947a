"""Edge strengths and annotations: every kind of file gives the same arrays, and what is wrong is said in one line."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

from atrous.data.edge_files import boundaries, find_annotations, find_strengths, read_annotators, read_strength
from atrous.errors import UserError

REGIONS = np.zeros((20, 30), np.uint16)
REGIONS[:8, 12:] = 1
REGIONS[8:, 5:] = 2
EDGES = boundaries(REGIONS)


def annotators(*fields):
    cells = np.empty((1, len(fields)), object)
    cells[0, :] = fields
    return {"groundTruth": cells}


@pytest.mark.parametrize(
    ("name", "top"), [("a.png", 255), ("deep.png", 65535), ("a.tif", 255), ("deep.tif", 65535), ("a.npy", 1)]
)
def test_strengths_are_read_from_8_and_16_bits_and_floats(tmp_path, name, top):
    values = np.linspace(0, 1, 600).reshape(20, 30)
    dtype = {255: np.uint8, 65535: np.uint16, 1: np.float32}[top]
    stored = (values * top).round().astype(dtype) if top > 1 else values.astype(dtype)
    path = tmp_path / name
    if path.suffix == ".npy":
        np.save(path, stored)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, stored)
    else:
        Image.fromarray(stored).save(path)
    strength = read_strength(path)
    np.testing.assert_array_equal(strength, stored.astype(float) / top)
    assert strength.dtype == np.float64


def test_floats_that_were_rounded_are_read(tmp_path):
    np.save(tmp_path / "a.npy", np.where(EDGES, np.float32(1 + 3e-7), np.float32(-1e-8)))
    np.testing.assert_array_equal(read_strength(tmp_path / "a.npy"), EDGES)


def test_strengths_of_zero_and_one_are_read(tmp_path):
    np.save(tmp_path / "a.npy", EDGES)
    Image.fromarray(EDGES).save(tmp_path / "a.png")  # one bit
    Image.fromarray(np.stack([255 * EDGES.astype(np.uint8)] * 3, -1)).save(tmp_path / "b.png")
    for name in ("a.npy", "a.png", "b.png"):
        np.testing.assert_array_equal(read_strength(tmp_path / name), EDGES)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (EDGES.astype(np.uint8), "strengths are 0 and 1 of 255, which is below every threshold: save edges as 255"),
        (2.5 * EDGES, "strengths go from 0 to 2.5: save floats from 0 to 1"),
        (0.0 - EDGES, "strengths go from -1 to 0"),
        (np.where(EDGES, np.nan, 0), "strengths go from nan to nan"),
        (np.zeros((40, 50, 60), np.float32), "edge strengths with 3 axes: give images of two axes"),
        (np.stack([EDGES, ~EDGES]).astype(np.float32), "in 2 channels that differ: save them as one gray channel"),
    ],
)
def test_strengths_that_are_none_are_refused(tmp_path, values, said):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(UserError, match=rf"a\.npy: .*{said}"):
        read_strength(tmp_path / "a.npy")


def test_boundaries_are_one_pixel_wide_and_part_the_regions():
    assert EDGES.any()
    assert not (EDGES[:-1, :-1] & EDGES[1:, :-1] & EDGES[:-1, 1:] & EDGES[1:, 1:]).any()
    assert not boundaries(np.full((5, 6), 7)).any()
    np.testing.assert_array_equal(np.flatnonzero(EDGES[3]), [11])  # the last pixel before the next region
    np.testing.assert_array_equal(np.flatnonzero(EDGES[15]), [4])


def test_every_kind_of_ground_truth_gives_the_same_boundaries(tmp_path):
    fields = {"Segmentation": REGIONS, "Boundaries": EDGES.astype(np.uint8)}
    savemat(tmp_path / "a.mat", annotators(fields, fields), do_compression=True)
    savemat(tmp_path / "b.mat", annotators({"Segmentation": REGIONS}, {"Segmentation": REGIONS}))
    Image.fromarray(255 * EDGES.astype(np.uint8)).save(tmp_path / "c.png")
    np.save(tmp_path / "d.npy", EDGES)
    (tmp_path / "e").mkdir()
    for number in range(2):
        Image.fromarray(EDGES.astype(np.uint8)).save(tmp_path / "e" / f"{number}.png")
    files = find_annotations(tmp_path)
    assert sorted(files) == ["a", "b", "c", "d", "e"]
    for name, path in files.items():
        marked = read_annotators(path)
        assert len(marked) == (1 if name in "cd" else 2)
        for one in marked:
            np.testing.assert_array_equal(one, EDGES)


def test_boundaries_are_made_of_segmentations(tmp_path):
    Image.fromarray(REGIONS.astype(np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.array([[9, 0, 0], [0, 9, 0], [0, 0, 9]], np.uint8)[REGIONS]).save(tmp_path / "b.png")
    savemat(tmp_path / "c.mat", annotators({"Segmentation": REGIONS, "Boundaries": np.zeros((20, 30))}))
    for path in find_annotations(tmp_path).values():
        np.testing.assert_array_equal(read_annotators(path, segmentation=True)[0], EDGES)


def test_boundaries_are_those_of_the_benchmark(shared_data):
    folder = shared_data / "bsds500" / "bench" / "data" / "groundTruth"
    if not folder.is_dir():
        pytest.skip("the example of the benchmark of BSDS500 does not lie beside the repository")
    for path in sorted(folder.iterdir()):
        for one, other in zip(read_annotators(path), read_annotators(path, segmentation=True), strict=True):
            np.testing.assert_array_equal(one, other)


def test_segmentations_are_not_taken_for_boundaries(tmp_path):
    Image.fromarray(REGIONS.astype(np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a.png: it has 3 values, and boundaries have two.*give --segmentation"):
        read_annotators(tmp_path / "a.png")
    Image.fromarray((REGIONS > 0).astype(np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a.png: it shows regions, not boundaries: give --segmentation"):
        read_annotators(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"groundTruth": np.empty((1, 0), object)}, "it has no annotator: leave the image out"),
        (annotators({"Edges": EDGES}), r"annotator 1 has no Boundaries or Segmentation \(it has Edges\)"),
        (annotators({"Boundaries": EDGES}, np.ones(3)), r"annotator 2 has no Boundaries .*\(it has no fields\)"),
        (annotators({"Boundaries": np.zeros((0, 0))}), "Boundaries of annotator 1 is no image"),
        (
            annotators({"Boundaries": EDGES}, {"Boundaries": EDGES[1:]}),
            "annotator 2 has the size 19 x 30, and the",
        ),
        ({"truth": EDGES}, r"it has no variable 'groundTruth' \(it has truth\)"),
    ],
)
def test_annotations_that_are_none_are_refused(tmp_path, variables, said):
    savemat(tmp_path / "a.mat", variables)
    with pytest.raises(UserError, match=rf"a\.mat: {said}") as raised:
        read_annotators(tmp_path / "a.mat")
    assert "\n" not in str(raised.value)


def test_folders_are_named(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        find_strengths(tmp_path / "missing")
    with pytest.raises(UserError, match="holds no edge strengths"):
        find_strengths(tmp_path)
    with pytest.raises(UserError, match="holds no ground truth"):
        find_annotations(tmp_path)
    np.save(tmp_path / "a.npy", EDGES)
    Image.fromarray(EDGES).save(tmp_path / "a.png")
    for find in (find_strengths, find_annotations):
        with pytest.raises(UserError, match=r"a\.\w+: the same name as a\.\w+: leave one of them out"):
            find(tmp_path)
