"""What a header declares is compared with the memory of this process before anything is decoded, in every reader."""

import gzip
import json
import struct
import zipfile
import zlib
from fractions import Fraction

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from rasterio.transform import Affine

from atrous.data.formats import base, open_source, read_header, read_image, read_values
from atrous.data.formats.base import in_words, require_room
from atrous.data.formats.movie import MovieWriter
from atrous.data.genomes.annotation import read_features
from atrous.data.genomes.fasta import sequence_lengths
from atrous.errors import UserError
from tests.data.formats.pictures import put
from tests.data.formats.recordings import write_edf, write_record
from tests.maps import write_map
from tests.scans import put_series

SIDE = 400
PIXELS = np.random.default_rng(0).integers(0, 3, (SIDE, SIDE), dtype=np.uint8)
SIGNALS = np.random.default_rng(0).normal(size=(2, 80_000)).astype(np.float32)
LIMIT = 100_000
REFUSED = r"(declares|needs) .*, and this process may use 100000 bytes: "


@pytest.fixture
def small(monkeypatch):
    """This process may use 100 kB."""
    monkeypatch.setattr(base, "memory_limit", lambda: LIMIT)
    monkeypatch.setattr("atrous.data.genomes.fasta.memory_limit", lambda: LIMIT)
    monkeypatch.setattr(base, "ALWAYS", 0)
    monkeypatch.setattr("atrous.data.formats.columns.ALWAYS", 0)


def write(folder, kind):  # noqa: PLR0912
    """A valid file that needs more than 100 kB when it is decoded whole."""
    path = folder / kind.replace("palette", "palette.tif")
    if kind.endswith((".png", ".jpg", ".webp", ".gif", ".bmp", ".npy")):
        put(path, PIXELS)
    elif kind == "palette":
        levels = np.stack([np.arange(256)] * 3).astype(np.uint16) * 257
        tifffile.imwrite(path, PIXELS, photometric="palette", colormap=levels)
    elif kind == "bits.tif":
        tifffile.imwrite(path, np.tile(PIXELS > 0, (4, 4)))
    elif kind == "plain.tif":
        tifffile.imwrite(path, PIXELS, tile=(64, 64))
    elif kind == "map.tif":
        write_map(path, PIXELS[None], Affine(2, 0, 0, 0, -2, 0), tiled=True, blockxsize=64, blockysize=64)
    elif kind == "plain.zarr":
        zarr.create_array(path, shape=PIXELS.shape, dtype="u1", chunks=(64, 64))[...] = PIXELS
    elif kind == "ome.zarr":
        group = zarr.open_group(path, mode="w")
        group.create_array("0", shape=PIXELS.shape, dtype="u1", chunks=(64, 64))[...] = PIXELS
        axes = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
        group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
    elif kind in ("a.nii", "a.nii.gz"):
        nibabel.Nifti1Image(np.stack([PIXELS] * 4).T, np.eye(4)).to_filename(path)
    elif kind == "a.csv":
        rows = "\n".join(f"{a:.6f},{b:.6f},0" for a, b in SIGNALS.T[:20_000])
        path.write_text(f"a,b,label\n{rows}\n")
    elif kind == "a.npz":
        np.savez_compressed(path, signal=SIGNALS, label=np.zeros(SIGNALS.shape[1], int))
    elif kind == "a.edf":
        write_edf(path, list(SIGNALS[:, :64_000]), [100, 100])
    elif kind == "a.hea":
        write_record(path, SIGNALS)
    elif kind == "a.mp4":
        writer = MovieWriter(path, (64, 96), Fraction(25))
        for _ in range(30):
            writer.write(np.zeros((64, 96, 3), np.uint8))
        writer.close()
    elif kind == "frames":
        path.mkdir()
        for i in range(8):
            put(path / f"{i}.png", PIXELS[:100, :200])
    elif kind == "series":
        put_series(path, np.stack([PIXELS[:60, :60].astype(np.int16)] * 20))
    return path


WHOLE = [
    "a.png", "a.jpg", "a.webp", "a.gif", "a.bmp", "a.npy", "palette", "bits.tif", "plain.tif", "map.tif", "plain.zarr",
    "ome.zarr", "a.nii", "a.nii.gz", "a.csv", "a.npz", "a.edf", "a.hea", "a.mp4", "frames",
]  # fmt: skip
PARTS = {
    "plain.tif", "map.tif", "plain.zarr", "ome.zarr", "a.nii", "a.nii.gz", "a.edf", "a.hea", "a.mp4", "frames",
    "series", "a.npy",
}  # fmt: skip
NO_LABELS = {"a.edf", "a.hea", "a.mp4", "series"}


@pytest.mark.parametrize("kind", WHOLE)
def test_what_is_decoded_whole_is_refused_beyond_the_limit(tmp_path, small, kind):
    path = write(tmp_path, kind)
    header = read_header(path)  # which decodes nothing
    with pytest.raises(UserError, match=rf"{path.name}.*: .*{REFUSED}") as raised:
        read_image(path)
    assert "\n" not in str(raised.value)
    if kind not in NO_LABELS:
        with pytest.raises(UserError, match=REFUSED):
            read_values(path)
    if kind in PARTS:
        part = open_source(path)[..., :9]
        assert part.shape == (*header.shape[:-1], 9)
    else:
        with pytest.raises(UserError, match=REFUSED):
            open_source(path)


@pytest.mark.parametrize("kind", WHOLE)
def test_within_the_limit_everything_is_read(tmp_path, kind):
    path = write(tmp_path, kind)
    assert read_image(path).shape == read_header(path).shape


@pytest.mark.parametrize("kind", ["tif", "map", "zarr", "ome"])
def test_parts_that_are_larger_than_the_limit_are_refused_too(tmp_path, small, kind):
    path = tmp_path / ("a.zarr" if kind in ("zarr", "ome") else "a.tif")
    if kind == "tif":
        tifffile.imwrite(path, PIXELS, rowsperstrip=SIDE)
    elif kind == "map":
        write_map(path, PIXELS[None], Affine(2, 0, 0, 0, -2, 0), blockysize=SIDE, compress="deflate")
    elif kind == "zarr":
        zarr.create_array(path, shape=PIXELS.shape, dtype="u1", chunks=PIXELS.shape)
    else:
        group = zarr.open_group(path, mode="w")
        group.create_array("0", shape=PIXELS.shape, dtype="u1", chunks=PIXELS.shape)
        axes = [{"name": "y"}, {"name": "x"}]
        group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
    with pytest.raises(UserError, match=REFUSED):
        open_source(path)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.parametrize("bomb", ["zarr", "png", "npz", "tif", "nii.gz"])
def test_a_few_bytes_that_declare_gigabytes_are_refused_at_once(tmp_path, monkeypatch, bomb):
    monkeypatch.setattr(base, "memory_limit", lambda: 10**9)
    path = tmp_path / f"a.{bomb}"
    if bomb == "zarr":
        path.mkdir()
        metadata = {"zarr_format": 2, "shape": [60000, 60000], "chunks": [100, 100], "dtype": "|u1", "fill_value": 0}
        (path / ".zarray").write_text(json.dumps(metadata | {"order": "C", "filters": None, "compressor": None}))
    elif bomb == "png":
        rows = zlib.compress(bytes(60001 * 9), 9)
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    elif bomb == "npz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("signal.npy", "w") as part:
            header = {"descr": "<f8", "fortran_order": False, "shape": (1, 3_000_000_000)}
            np.lib.format.write_array_header_1_0(part, header)
            part.write(bytes(1 << 20))
    elif bomb == "tif":
        tifffile.imwrite(path, PIXELS, metadata=None)
        with tifffile.TiffFile(path, mode="r+b") as file:
            for code in (256, 257):
                file.pages.first.tags[code].overwrite(60000)
    else:
        image = nibabel.Nifti1Image(np.zeros((9, 9, 9), np.uint8), np.eye(4))
        content = bytearray(image.to_bytes())
        content[42:48] = struct.pack("<3h", 2000, 2000, 2000)
        path.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(UserError, match=r"declares .* GB decoded, and this process may use 1 GB: cut it into smaller"):
        read_image(path)
    if bomb not in ("npz", "nii.gz"):
        with pytest.raises(UserError, match="this process may use 1 GB"):
            read_values(path)


@pytest.mark.parametrize("lines", [1, 4000])
def test_gzip_that_inflates_beyond_the_limit_is_refused_while_it_is_read(tmp_path, small, lines):
    text = b"\n".join([b"ACGT" * (200_000 // lines)] * lines)
    (tmp_path / "a.fa.gz").write_bytes(gzip.compress(b">a\n" + text))
    with pytest.raises(
        UserError, match=r"a.fa.gz: its sequences needs .* may use 100000 bytes: compress it with bgzip"
    ):
        sequence_lengths(tmp_path / "a.fa.gz")


def test_a_line_of_an_annotation_without_end_is_refused(tmp_path):
    (tmp_path / "a.gff.gz").write_bytes(gzip.compress(b"a\tb\t" + b"x" * (1 << 25)))
    with pytest.raises(UserError, match=r"a.gff.gz: line 1 has more than"):
        read_features(tmp_path / "a.gff.gz")


@pytest.mark.parametrize("kind", ["long", "entities"])
def test_xml_that_is_too_long_or_defines_entities_is_refused(tmp_path, small, kind):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, PIXELS[:9, :9], ome=True)
    with tifffile.TiffFile(path) as file:
        xml = file.ome_metadata
    more = f"<!-- {'x' * 9000} -->" if kind == "long" else '<!DOCTYPE a [<!ENTITY b "c">]>'
    start = xml.index("<OME")
    tifffile.tiffcomment(path, (xml[:start] + more + xml[start:]).encode())
    with pytest.raises(UserError, match=r"its OME-XML (needs|defines entities)"):
        read_header(path)


def test_small_arrays_are_read_without_asking(monkeypatch, tmp_path):
    monkeypatch.setattr(base, "memory_limit", lambda: pytest.fail("asked"))
    require_room(tmp_path, (1000, 1000), "uint8")


@pytest.mark.parametrize(
    ("size", "words"), [(999, "999 bytes"), (1_500_000, "1.5 MB"), (3.6e12, "3.6 TB"), (10**18, "1000000 TB")]
)
def test_sizes_in_words(size, words):
    assert in_words(int(size)) == words
