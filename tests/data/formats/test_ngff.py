"""OME-Zarr 0.4 and 0.5: what is read, and that what is written keeps the rules of the specification."""

import json

import numpy as np
import pytest
import zarr

from atrous.data.formats import (
    open_labels,
    open_source,
    read_header,
    read_image,
    read_values,
    write_label,
    write_probabilities,
)
from atrous.data.formats.ngff import open_multiscale
from atrous.errors import UserError

RNG = np.random.default_rng(0)
TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
UNITS = {"t": "second", "z": "micrometer", "y": "nanometer", "x": "nanometer"}
SCALES = {"t": 3.0, "c": 1.0, "z": 0.5, "y": 130.0, "x": 65.0}


def put(path, values, axes, version="0.5", names=()):
    """An image of two levels, as other programs write it."""
    group = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2)
    more = (
        {"dimension_names": list(axes)}
        if version == "0.5"
        else {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
    )
    for number in range(2):
        level = values[..., :: 2**number, :: 2**number]
        chunks = tuple(min(16, n) for n in level.shape)
        group.create_array(str(number), shape=level.shape, dtype=level.dtype, chunks=chunks, **more)[...] = level
    scales = [[SCALES[a] * (2**n if a in "yx" else 1) for a in axes] for n in range(2)]
    entries = [{"name": a, "type": TYPES[a]} | ({"unit": UNITS[a]} if a in UNITS else {}) for a in axes]
    transforms = [
        [
            {"type": "scale", "scale": s},
            {"type": "translation", "translation": [0.0 if a == "c" else 7.0 for a in axes]},
        ]
        for s in scales
    ]
    datasets = [{"path": str(n), "coordinateTransformations": t} for n, t in enumerate(transforms)]
    said = {"multiscales": [{"axes": entries, "datasets": datasets, "name": "a"}]}
    if names:
        said["omero"] = {"channels": [{"label": name, "color": "FF0000", "window": {}} for name in names]}
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", **said}
    else:
        said["multiscales"][0]["version"] = "0.4"
        group.attrs.update(said)
    return path


def validated(path):
    """The first multiscale of a folder, after the rules of the specification that can be checked."""
    group = zarr.open_group(path, mode="r")
    modern = (path / "zarr.json").exists()
    said = json.loads((path / ("zarr.json" if modern else ".zattrs")).read_text())
    said = said["attributes"]["ome"] if modern else said
    assert (said["version"] if modern else said["multiscales"][0]["version"]) == ("0.5" if modern else "0.4")
    multiscale = said["multiscales"][0]
    axes = multiscale["axes"]
    kinds = [axis["type"] for axis in axes]
    assert 2 <= len(axes) <= 5
    assert len({axis["name"] for axis in axes}) == len(axes)
    assert kinds == sorted(kinds, key=["time", "channel", "space"].index)
    assert 2 <= kinds.count("space") <= 3
    assert kinds.count("time") <= 1
    assert kinds.count("channel") <= 1
    shapes = []
    for dataset in multiscale["datasets"]:
        array = group[dataset["path"]]
        assert array.metadata.zarr_format == (3 if modern else 2)
        assert array.ndim == len(axes)
        if modern:
            assert list(array.metadata.dimension_names) == [axis["name"] for axis in axes]
        else:
            assert array.metadata.dimension_separator == "/"
        first, *rest = dataset["coordinateTransformations"]
        assert (first["type"], len(first["scale"])) == ("scale", len(axes))
        assert [step["type"] for step in rest] in ([], ["translation"])
        shapes.append(array.shape)
    assert shapes == sorted(shapes, reverse=True)
    return group, said, multiscale


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("axes", "shape", "expected", "letters"),
    [
        ("yx", (30, 40), (1, 30, 40), "YX"),
        ("cyx", (3, 30, 40), (3, 30, 40), "YX"),
        ("tczyx", (1, 2, 5, 30, 40), (2, 5, 30, 40), "ZYX"),
        ("tczyx", (4, 2, 1, 30, 40), (2, 4, 30, 40), "TYX"),
        ("zyx", (5, 30, 40), (1, 5, 30, 40), "ZYX"),
    ],
)
def test_the_finest_level_is_read_with_axes_and_scale(tmp_path, version, axes, shape, expected, letters):
    values = RNG.integers(0, 60000, shape).astype(np.uint16)
    names = ("DAPI", "GFP", "RFP")[: expected[0]] if "c" in axes else ()
    path = put(tmp_path / "a.ome.zarr", values, axes, version, names)
    header, image, source = read_header(path), read_image(path), open_source(path)
    assert (header.shape, header.axes, header.names) == (expected, letters, names)
    truth = np.moveaxis(values, axes.index("c"), 0) if "c" in axes else values[None]
    np.testing.assert_array_equal(image, truth.reshape(expected))
    for key in [(slice(None), slice(1, 3)), (0, 1), (..., slice(3, None, 2))]:
        np.testing.assert_array_equal(source[key], image[key])
    apart = {"T": 3.0, "Z": 0.5, "Y": 0.13, "X": 0.065}
    assert header.spacing == pytest.approx([apart[letter] for letter in letters])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("axes", "shape"), [("cyx", (2, 1200, 70)), ("tczyx", (1, 2, 3, 60, 70)), ("zyx", (3, 60, 70))]
)
def test_labels_are_a_label_image_on_the_same_axes(tmp_path, version, axes, shape):
    source = put(tmp_path / "in.ome.zarr", np.zeros(shape, np.uint16), axes, version)
    size = read_header(source).size
    label = RNG.integers(0, 3, size).astype(np.uint8)
    sink = open_labels(tmp_path / "out.ome.zarr", size, on_disk=True)
    sink.array[...] = label
    sink.finish(like=source, classes=("ground", "cell", "nucleus"), palette=((0, 0, 0), (9, 8, 7), (1, 2, 3)))
    group, said, multiscale = validated(tmp_path / "out.ome.zarr")
    wanted = [a for a in axes if a != "c"]
    assert [axis["name"] for axis in multiscale["axes"]] == wanted
    assert multiscale["axes"][-1]["unit"] == "nanometer"
    for number, dataset in enumerate(multiscale["datasets"]):
        scale, shift = dataset["coordinateTransformations"]
        assert scale["scale"] == [SCALES[a] * (2**number if a in "yx" else 1) for a in wanted]
        assert shift["translation"] == [7.0] * len(wanted)
        truth = label[..., :: 2**number, :: 2**number]
        np.testing.assert_array_equal(group[dataset["path"]][...].reshape(truth.shape), truth)
    assert len(multiscale["datasets"]) == (3 if max(size) == 1200 else 1)
    assert said["image-label"]["colors"][1] == {"label-value": 1, "rgba": [9, 8, 7, 255]}
    assert said["image-label"]["properties"][2] == {"label-value": 2, "class": "nucleus"}
    np.testing.assert_array_equal(read_values(tmp_path / "out.ome.zarr"), label)
    assert read_header(tmp_path / "out.ome.zarr").spacing == pytest.approx(read_header(source).spacing)
    assert {p.name for p in tmp_path.iterdir()} == {"in.ome.zarr", "out.ome.zarr"}


def test_probabilities_are_an_image_of_named_channels(tmp_path):
    source = put(tmp_path / "in.zarr", np.zeros((3, 1, 60, 70), np.uint8), "tcyx")
    values = RNG.random((2, 3, 60, 70), dtype=np.float32)
    write_probabilities(tmp_path / "p.zarr", values, ("ground", "cell"), source)
    _, said, multiscale = validated(tmp_path / "p.zarr")
    assert [axis["name"] for axis in multiscale["axes"]] == ["t", "c", "y", "x"]
    assert [channel["label"] for channel in said["omero"]["channels"]] == ["ground", "cell"]
    np.testing.assert_array_equal(read_image(tmp_path / "p.zarr"), values)


def test_a_bare_array_stays_one_and_other_groups_are_named(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros((9, 9), np.uint8))
    write_label(tmp_path / "b.zarr", np.ones((9, 9), np.uint8), like=tmp_path / "a.zarr")
    assert isinstance(zarr.open(tmp_path / "b.zarr", mode="r"), zarr.Array)
    group = zarr.create_group(tmp_path / "g.zarr")
    group.create_array("inside", data=np.zeros((9, 9), np.uint8))
    with pytest.raises(UserError, match=r"without OME-Zarr's multiscales \(it has inside\)"):
        read_header(tmp_path / "g.zarr")
    zarr.create_group(tmp_path / "p.zarr", attributes={"plate": {"wells": []}})
    with pytest.raises(UserError, match="a plate of many images"):
        read_header(tmp_path / "p.zarr")
    source = put(tmp_path / "in.zarr", np.zeros((60, 70), np.uint8), "yx")
    with pytest.raises(UserError, match=r"size \(60, 70\), but its labels have \(60, 60\)"):
        write_label(tmp_path / "out.zarr", np.zeros((60, 60), np.uint8), like=source)


def test_a_converted_file_is_its_first_image(tmp_path):
    zarr.create_group(tmp_path / "a.zarr", attributes={"ome": {"version": "0.5", "bioformats2raw.layout": 3}})
    put(tmp_path / "a.zarr" / "0", np.full((60, 70), 5, np.uint8), "yx")
    assert read_image(tmp_path / "a.zarr").max() == 5


@pytest.mark.parametrize("negative", ["y", "yx", "zyx", "c"])
@pytest.mark.parametrize("version", [2, 3])
def test_axes_of_negative_scale_are_flipped_into_place(tmp_path, negative, version):
    values = RNG.integers(0, 60000, (2, 3, 8, 9)).astype(np.uint16)
    scale, shift = {"c": 1.0, "z": 2.0, "y": 0.5, "x": 0.25}, {"c": 0.0, "z": 10.0, "y": 20.0, "x": 30.0}
    signed = [scale[name] * (-1 if name in negative else 1) for name in "czyx"]
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=version)
    group.create_array("0", shape=values.shape, dtype="u2", chunks=(1, 2, 4, 4))[...] = values
    axes = [
        {"name": n, "type": "channel"} if n == "c" else {"name": n, "type": "space", "unit": "micrometer"}
        for n in "czyx"
    ]
    steps = [{"type": "scale", "scale": signed}, {"type": "translation", "translation": list(shift.values())}]
    multiscales = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}]
    group.attrs.update(
        {"ome": {"version": "0.5", "multiscales": multiscales}} if version == 3 else {"multiscales": multiscales}
    )
    header, image = read_header(tmp_path / "a.zarr"), read_image(tmp_path / "a.zarr")
    assert header.spacing == (2.0, 0.5, 0.25)
    truth = np.flip(values, ["czyx".index(name) for name in negative])
    np.testing.assert_array_equal(image, truth)
    np.testing.assert_array_equal(open_source(tmp_path / "a.zarr")[1, 1:, 2:5, ::2], truth[1, 1:, 2:5, ::2])
    # labels that are written for it lie on the same places: at index i of the labels, shift + scale * i
    write_label(tmp_path / "b.zarr", (truth[0] % 3).astype(np.uint8), like=tmp_path / "a.zarr")
    written = open_multiscale(tmp_path / "b.zarr")
    assert written.scale == (2.0, 0.5, 0.25)
    for axis, name in enumerate("zyx"):
        length = values.shape[axis + 1]
        places = shift[name] + (-1 if name in negative else 1) * scale[name] * np.arange(length)
        assert written.translation[axis] == places.min()
    np.testing.assert_array_equal(read_values(tmp_path / "b.zarr"), truth[0] % 3)


def test_a_finest_level_that_is_no_array_is_named(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_group("0")
    axes = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
    for read in (read_header, read_image, read_values, open_source):
        with pytest.raises(UserError, match=r"a.zarr: .*its finest level '0' is a group"):
            read(tmp_path / "a.zarr")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_finer_numbers_cover_the_same_extent(tmp_path, version):
    like = put(tmp_path / "in.zarr", RNG.integers(0, 9, (2, 4, 20, 24)).astype(np.uint8), "czyx", version)
    values = RNG.random((2, 8, 40, 48), dtype=np.float32)
    write_probabilities(tmp_path / "out.zarr", values, ("a", "b"), like, 2)
    found = open_multiscale(tmp_path / "out.zarr")
    assert found.scale == (1.0, 0.25, 65.0, 32.5)
    assert found.translation == pytest.approx((0.0, 7 - 0.125, 7 - 32.5, 7 - 16.25))
    np.testing.assert_array_equal(read_image(tmp_path / "out.zarr"), values)
    with pytest.raises(UserError, match="but its labels have"):
        write_probabilities(tmp_path / "no.zarr", values, ("a", "b"), like, 3)
