"""NIfTI files, against nibabel itself."""

import gzip

import nibabel
import numpy as np
import pytest

from atrous.data.formats import (
    image_shape,
    label_suffix,
    open_probabilities,
    open_source,
    read_header,
    read_image,
    read_values,
    write_label,
    write_probabilities,
)
from atrous.errors import UserError

AFFINE = np.array([[0, -0.5, 0.1, 7], [0.8, 0, 0, -3], [0, 0.1, 2.5, 11], [0, 0, 0, 1]], float)
RNG = np.random.default_rng(0)


def save(path, data, affine=AFFINE, cls=nibabel.Nifti1Image):
    image = cls(data, affine)
    image.set_qform(affine, 1)
    image.set_sform(affine, 2)
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_volume_is_read_slices_first_with_its_spacing(tmp_path, dtype, name):
    data = RNG.integers(0, 200, (5, 6, 7)).astype(dtype)
    path = save(tmp_path / name, data)
    image, header = read_image(path), read_header(path)
    np.testing.assert_array_equal(image, data.T[None])
    assert image.dtype.name == header.dtype == ("float32" if dtype in (np.int16, np.float32) else dtype.__name__)
    assert image_shape(path) == image.shape == header.shape
    zooms = nibabel.load(path).header.get_zooms()
    assert header.spacing == pytest.approx(zooms[::-1])
    np.testing.assert_allclose(header.affine, AFFINE, atol=1e-6)


def test_slope_and_intercept_are_applied(tmp_path):
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(0.5, -10)
    nibabel.save(image, tmp_path / "a.nii.gz")
    expected = nibabel.load(tmp_path / "a.nii.gz").get_fdata()
    assert read_header(tmp_path / "a.nii.gz").dtype == "float32"
    np.testing.assert_allclose(read_image(tmp_path / "a.nii.gz")[0], expected.T, rtol=1e-6)


@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 6, 7, 3), (5, 6, 7, 1, 2), (5, 6)])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_source_sliced_is_the_image_sliced(tmp_path, shape, name):
    path = save(tmp_path / name, RNG.normal(size=shape).astype(np.float32))
    image, source = read_image(path), open_source(path)
    assert source.shape == image.shape
    assert source.dtype == image.dtype
    keys = [..., (slice(None), slice(1, 3)), (0, 2), (slice(0, 1), slice(None, None, 2)), (..., slice(1, 4))]
    for key in keys:
        np.testing.assert_array_equal(source[key], image[key])


@pytest.mark.parametrize("cls", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("name", ["out.nii", "out.nii.gz"])
def test_labels_lie_where_their_image_lies(tmp_path, cls, name):
    source = save(tmp_path / "in.nii.gz", RNG.normal(size=(5, 6, 7)).astype(np.float32), cls=cls)
    label = RNG.integers(0, 3, (7, 6, 5)).astype(np.uint8)
    write_label(tmp_path / name, label, like=source)
    written, image = nibabel.load(tmp_path / name), nibabel.load(source)
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), label.T)
    assert written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(written.affine, image.affine)
    for key in ("qform_code", "sform_code", "pixdim", "xyzt_units", "srow_x", "quatern_b", "qoffset_z"):
        np.testing.assert_array_equal(written.header[key], image.header[key])
    assert type(written) is type(image)
    np.testing.assert_array_equal(read_values(tmp_path / name), label)
    assert not list(tmp_path.glob(".*"))


def test_labels_of_a_file_with_channels_have_its_space(tmp_path):
    source = save(tmp_path / "in.nii", RNG.normal(size=(5, 6, 7, 2)).astype(np.float32))
    write_label(tmp_path / "out.nii", np.full((7, 6, 5), 300), like=source)
    written = nibabel.load(tmp_path / "out.nii")
    assert written.shape == (5, 6, 7)
    assert written.get_data_dtype() == np.int16
    np.testing.assert_allclose(written.affine, AFFINE, atol=1e-6)


def test_the_same_labels_are_the_same_bytes(tmp_path):
    label = np.ones((3, 4, 5), np.uint8)
    for name in ("a.nii.gz", "b.nii.gz"):
        write_label(tmp_path / name, label)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_labels_of_another_size_or_of_two_axes_are_refused(tmp_path):
    source = save(tmp_path / "in.nii", np.zeros((5, 6, 7), np.float32))
    with pytest.raises(UserError, match=r"\(7, 6, 5\), but its label has \(7, 6, 4\)"):
        write_label(tmp_path / "out.nii", np.zeros((7, 6, 4), np.uint8), like=source)
    with pytest.raises(UserError, match="three axes"):
        write_label(tmp_path / "out.nii", np.zeros((6, 4), np.uint8))


def test_damaged_files_are_named(tmp_path):
    path = save(tmp_path / "a.nii.gz", RNG.normal(size=(9, 9, 9)).astype(np.float32))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(UserError, match=r"a\.nii\.gz: cannot be read"):
        read_image(path)
    with gzip.open(tmp_path / "b.nii.gz", "wb") as file:
        file.write(b"no header")
    with pytest.raises(UserError, match=r"b\.nii\.gz: cannot be read"):
        read_header(tmp_path / "b.nii.gz")


def test_labels_go_where_their_kind_fits():
    names = ("a.nii", "a.nii.gz", "a.tif", "a.jpg")
    assert [label_suffix(name) for name in names] == [".nii", ".nii.gz", ".tif", ".png"]
    assert [label_suffix("a.jpg", ndim) for ndim in (1, 2, 3)] == [".npy", ".png", ".tif"]
    assert [label_suffix(name, 3) for name in ("a.zarr", "a.npy")] == [".zarr", ".npy"]


@pytest.mark.parametrize(
    "affine",
    [
        np.diag([1.0, 0, 1, 1]),
        np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
        np.diag([1, np.nan, 1, 1]),
    ],
)
def test_a_singular_affine_is_named(tmp_path, affine):
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4))
    image.header.set_sform(affine, 1)
    content = image.header.binaryblock + bytes(4) + bytes(120)
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(UserError, match=r"a.nii: its affine is singular: .*: write its sform or qform anew"):
        read_header(tmp_path / "a.nii")


def centers(affine, shape, factor=1):
    """World coordinates of the centers of the first and the last voxel `(I, J, K)` of a grid that is finer."""
    corners = np.array([[0, 0, 0], np.array(shape) * factor - 1])
    return ((corners + 0.5) / factor - 0.5) @ affine[:3, :3].T + affine[:3, 3]


@pytest.mark.parametrize("cls", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize(
    ("name", "channels", "factor"), [("out.nii", 1, 1), ("out.nii.gz", 2, 1), ("out.nii.gz", 1, 3)]
)
def test_numbers_lie_where_their_image_lies(tmp_path, cls, name, channels, factor):
    source = save(tmp_path / "in.nii.gz", RNG.normal(size=(5, 6, 7)).astype(np.float32), cls=cls)
    values = RNG.normal(size=(channels, 7 * factor, 6 * factor, 5 * factor)).astype(np.float32)
    values[0, 0, 0] = np.nan
    write_probabilities(tmp_path / name, values, ["a"] * channels, source, factor)
    written, image = nibabel.load(tmp_path / name), nibabel.load(source)
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), values[0].T if channels == 1 else values.T)
    np.testing.assert_array_equal(read_image(tmp_path / name), values)
    assert written.get_data_dtype() == np.float32
    for affine, wanted in (
        (written.affine, image.affine),
        (written.header.get_qform(), image.header.get_qform()),
        (written.header.get_sform(), image.header.get_sform()),
    ):
        ends = centers(wanted, (5, 6, 7), factor)
        np.testing.assert_allclose(centers(affine, np.array((5, 6, 7)) * factor), ends, atol=1e-5)
    np.testing.assert_allclose(written.header.get_zooms()[:3], np.array(image.header.get_zooms()) / factor, rtol=1e-6)
    for key in ("qform_code", "sform_code", "xyzt_units"):
        assert written.header[key] == image.header[key]
    assert type(written) is type(image)
    assert not list(tmp_path.glob(".*"))


def test_numbers_are_written_in_the_byte_order_of_the_image(tmp_path):
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    image = nibabel.Nifti1Image(np.ones((3, 4, 5), np.int16), None, header)
    nibabel.save(image, tmp_path / "in.nii")
    assert nibabel.load(tmp_path / "in.nii").header.endianness == ">"
    values = RNG.normal(size=(1, 10, 8, 6)).astype(np.float32)
    write_probabilities(tmp_path / "out.nii", values, ["a"], tmp_path / "in.nii", 2)
    written = nibabel.load(tmp_path / "out.nii")
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), values[0].T)
    # neither affine has a code: the middle of the volume is the origin, on the finer grid too
    np.testing.assert_allclose(written.affine[:3, :3], np.diag([-0.5, 0.5, 0.5]))
    np.testing.assert_allclose(centers(written.affine, (6, 8, 10)).sum(0), 0, atol=1e-6)


def test_numbers_of_another_size_are_refused_and_leave_nothing(tmp_path):
    source = save(tmp_path / "in.nii", np.zeros((5, 6, 7), np.float32))
    with pytest.raises(UserError, match=r"in\.nii: size \(7, 6, 5\), but its numbers have \(7, 6, 6\)"):
        write_probabilities(tmp_path / "out.nii", np.zeros((1, 7, 6, 6), np.float32), ["a"], source)
    assert [path.name for path in tmp_path.iterdir()] == ["in.nii"]


def test_numbers_are_filled_on_disk_slab_by_slab(tmp_path, monkeypatch):
    monkeypatch.setattr("atrous.data.formats.nifti.WRITTEN", 4 * 6 * 5 * 2)  # two slices are written at once
    source = save(tmp_path / "in.nii", np.zeros((5, 6, 7), np.float32))
    values = RNG.normal(size=(2, 7, 6, 5)).astype(np.float32)
    sink = open_probabilities(tmp_path / "out.nii.gz", values.shape, on_disk=True)
    assert sink.part is not None
    assert sink.part.exists()
    for row in range(7):
        sink.array[:, row] = values[:, row]
    sink.finish(["a", "b"], like=source)
    np.testing.assert_array_equal(read_image(tmp_path / "out.nii.gz"), values)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.nii", "out.nii.gz"]
