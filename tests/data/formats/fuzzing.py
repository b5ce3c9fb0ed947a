"""Small valid files of every format, ways to damage them, and everything that is read of a file."""

import gzip
import io
import random
import shutil
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import nibabel
import numpy as np
import tifffile
import zarr
from PIL import Image
from rasterio.transform import Affine
from scipy.io import savemat

from atrous.data.edge_files import read_annotators
from atrous.data.formats import (
    Header,
    MapGrid,
    channel_names,
    has_label,
    has_signals,
    is_annotated,
    open_source,
    open_valid,
    read_annotations,
    read_header,
    read_image,
    read_label,
    read_level,
    read_pyramid,
    read_values,
    read_words,
)
from atrous.data.formats.movie import MovieWriter
from atrous.data.formats.polygons import POLYGON_SUFFIXES, burn, read_polygons
from atrous.data.genomes.annotation import read_features
from atrous.data.genomes.fasta import open_sequence, sequence_lengths
from atrous.data.genomes.labels import channels, label
from atrous.data.genomes.tracks import Tracks
from atrous.errors import UserError
from tests.data.formats.recordings import annotate_record, write_edf, write_record
from tests.maps import write_map
from tests.microscopes import write_lif, write_nd2
from tests.polygons import square, write_shapes
from tests.scans import put_series
from tests.slides import write_ndpi, write_philips, write_scn, write_svs

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 5, (24, 31), dtype=np.uint8)
COLOR = RNG.integers(0, 256, (24, 31, 3), dtype=np.uint8)
WIDE = np.kron(COLOR, np.ones((6, 6, 1), np.uint8))
SHAPES = [square(400010, 5199990, 80), square(400030, 5199970, 50)]
SIGNALS = RNG.normal(size=(2, 400))
GRID = Affine(10, 0, 400000, 0, -10, 5200000)
PLACE = Header((1, 24, 31), "uint8", "map", map=MapGrid("EPSG:32633", tuple(GRID)[:6]))
TOKENS = (
    b"-1",
    b"0",
    b"99999999999",
    b"1e400",
    b"nan",
    b"\x00",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"..",
    b"\n",
)
"""What is written over fields and put between bytes."""
SECONDS = 10
"""Longest time that one reader may take."""


def _exif_png(path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(COLOR).save(path, exif=exif)


def _palette_png(path: Path) -> None:
    image = Image.fromarray(GRAY)
    image.putpalette(list(range(48)))
    image.save(path)


def _ome_tif(path: Path) -> None:
    more = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "axes": "CYX", "Channel": {"Name": ["a", "b"]}}
    tifffile.imwrite(path, np.stack([GRAY, GRAY]), ome=True, photometric="minisblack", metadata=more)


def _jp2(path: Path) -> None:
    import imagecodecs

    path.write_bytes(imagecodecs.jpeg2k_encode(COLOR, codecformat="jp2", level=0))


def _ome_zarr(path: Path) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", shape=GRAY.shape, dtype="u1", chunks=(16, 16))[...] = GRAY
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    steps = [{"type": "scale", "scale": [0.5, -0.5]}, {"type": "translation", "translation": [1.0, 2.0]}]
    datasets = [{"path": "0", "coordinateTransformations": steps}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]


def _zarr3(path: Path) -> None:
    zarr.create_array(path, shape=GRAY.shape, dtype="u1", chunks=(8, 8), shards=(16, 16))[...] = GRAY


def _nd2(path: Path) -> None:
    write_nd2(path, "Z", np.stack([GRAY, GRAY, GRAY])[..., None], packed=RNG.random() < 0.5)


def _nifti(path: Path) -> None:
    nibabel.Nifti1Image(np.stack([GRAY] * 4).T, np.diag([0.5, 0.5, 2, 1])).to_filename(path)


def _table(path: Path) -> None:
    path.write_text("time,a,b,label\n" + "".join(f"{i},{i / 7:.3f},{-i},w{i % 3}\n" for i in range(60)))


def _edf(path: Path) -> None:
    write_edf(path, list(SIGNALS), [100, 100], [(0.0, 2.0, "wake"), (2.0, 1.5, "rem")])


def _edf_gaps(path: Path) -> None:
    _edf(path)
    content = bytearray(path.read_bytes())
    content[192:197] = content[192:196] + b"D"
    path.write_bytes(content)


def _record(path: Path) -> None:
    write_record(path, SIGNALS)
    annotate_record(path, [20, 90, 200], "NVN")


def _mat(path: Path) -> None:
    annotators = np.empty((1, 2), object)
    annotators[0, :] = [{"Segmentation": GRAY, "Boundaries": GRAY > 3}, {"Segmentation": GRAY.astype(float)}]
    savemat(path, {"groundTruth": annotators}, do_compression=path.name.startswith("packed"))


def _movie(path: Path) -> None:
    writer = MovieWriter(path, (48, 64), Fraction(25))
    for _ in range(4):
        writer.write(np.ascontiguousarray(np.broadcast_to(np.uint8(90), (48, 64, 3))))
    writer.close()


def _frames(path: Path) -> None:
    path.mkdir()
    for i in range(3):
        Image.fromarray(GRAY).save(path / f"{i}.png")


def _series(path: Path) -> None:
    put_series(path, np.stack([GRAY.astype(np.int16)] * 4))


_FASTA = ">a one\n" + "ACGTN" * 30 + "\n" + "ACG\n>b\nACGTTT\n"
_GFF = "##gff-version 3\n" + "".join(
    f"a\tx\tCDS\t{s}\t{s + 11}\t.\t{'+-'[s % 2]}\t{s % 3}\tID=c{s // 20}\n" for s in range(1, 120, 13)
)
_GTF = _GFF.replace("ID=c", 'gene_id "g"; transcript_id "t')
_BED = "".join(f"a\t{s}\t{s + 9}\tp{s}\t0\t+\t{s}\t{s + 9}\t0\t2\t3,3\t0,6\n" for s in range(0, 100, 11))


def _track(path: Path) -> None:
    import pyBigWig

    file = pyBigWig.open(str(path), "w")
    file.addHeader([("a", 153), ("b", 6)])
    file.addEntries("a", 0, values=[float(i % 5) for i in range(150)], span=1, step=1)
    file.close()


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.png": lambda path: Image.fromarray(COLOR).save(path),
    "exif.png": _exif_png,
    "palette.png": _palette_png,
    "deep.png": lambda path: Image.fromarray(GRAY.astype(np.uint16) * 9999).save(path),
    "a.jpg": lambda path: Image.fromarray(COLOR).save(path),
    "a.webp": lambda path: Image.fromarray(COLOR).save(path, lossless=True),
    "a.gif": lambda path: Image.fromarray(GRAY).save(path),
    "a.bmp": lambda path: Image.fromarray(COLOR).save(path),
    "a.tif": lambda path: tifffile.imwrite(path, COLOR, photometric="rgb", tile=(16, 16), compression="zlib"),
    "strips.tif": lambda path: tifffile.imwrite(path, np.stack([GRAY] * 3), photometric="minisblack", rowsperstrip=8),
    "bits.tif": lambda path: tifffile.imwrite(path, GRAY > 2, photometric="miniswhite"),
    "ome.tif": _ome_tif,
    "map.tif": lambda path: write_map(path, COLOR.transpose(2, 0, 1), GRID, nodata=0, compress="deflate"),
    "a.jp2": _jp2,
    "a.svs": lambda path: write_svs(path, WIDE),
    "a.ndpi": lambda path: write_ndpi(path, WIDE),
    "a.scn": lambda path: write_scn(path, WIDE),
    "philips.tiff": lambda path: write_philips(path, WIDE),
    "a.lif": lambda path: write_lif(path, {"one": ("CYX", np.stack([GRAY, GRAY]))}, apart={"X": 1e-7, "Y": 1e-7}),
    **({"a.nd2": _nd2} if find_spec("nd2") else {}),
    "a.gpkg": lambda path: write_shapes(path, SHAPES, kind=["a", "b"]),
    "a.geojson": lambda path: write_shapes(path, SHAPES, kind=["a", "b"]),
    "a.shp": lambda path: write_shapes(path, SHAPES, kind=["a", "b"]),
    "a.npy": lambda path: np.save(path, COLOR),
    "a.npz": lambda path: np.savez_compressed(path, signal=SIGNALS, label=np.arange(400) % 3, rate=100.0),
    "a.zarr": lambda path: zarr.create_array(path, shape=GRAY.shape, dtype="u1", chunks=(8, 8), zarr_format=2),
    "shards.zarr": _zarr3,
    "ome.zarr": _ome_zarr,
    "a.nii": _nifti,
    "a.nii.gz": _nifti,
    "series": _series,
    "a.mat": _mat,
    "packed.mat": _mat,
    "a.csv": _table,
    "a.edf": _edf,
    "gaps.edf": _edf_gaps,
    "a.bdf": _edf,
    "a.hea": _record,
    "a.mp4": _movie,
    "frames": _frames,
    "a.fa": lambda path: path.write_text(_FASTA),
    "a.fa.gz": lambda path: path.write_bytes(gzip.compress(_FASTA.encode())),
    "a.gff3": lambda path: path.write_text(_GFF),
    "a.gtf.gz": lambda path: path.write_bytes(gzip.compress(_GTF.encode())),
    "a.bed": lambda path: path.write_text(_BED),
    "a.bw": _track,
}
"""How a small valid file, or folder, of each kind is written."""


def damaged(content: bytes, random_: random.Random) -> bytes:
    """A file with flipped bits, cut short, with bytes put in or left out, or with another field in its first part."""
    data = bytearray(content)
    head = min(len(data), random_.choice([64, 300, 2000]))
    for _ in range(random_.choice([1, 1, 1, 2, 4])):
        if not data:
            break
        at = random_.randrange(len(data)) if random_.random() < 0.4 else random_.randrange(max(1, min(head, len(data))))
        kind = random_.randrange(7)
        if kind == 0:
            data[at] ^= 1 << random_.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:at] = random_.choice(TOKENS)
        elif kind == 3:
            del data[at : at + random_.choice([1, 4, 64])]
        elif kind == 4:
            token = random_.choice(TOKENS)
            data[at : at + len(token)] = token
        elif kind == 5:
            size = random_.choice([2, 4, 8])
            number = random_.choice([0, 1, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, random_.randrange(2**32)])
            order = random_.choice(["little", "big"])
            data[at : at + size] = (number % 256**size).to_bytes(size, order)
        else:
            data[at : at + random_.choice([8, 200])] = bytes(random_.choice([8, 200]))
    return bytes(data)


def damage(path: Path, random_: random.Random) -> None:
    """Damage a file, or one file of a folder; often within its compression, or with its checksums made right."""
    if path.suffix == ".shp" and random_.random() < 0.5:
        path = path.with_suffix(random_.choice([".shx", ".dbf", ".prj"]))
    if path.suffix == ".hea" and random_.random() < 0.5:
        path = path.with_suffix(random_.choice([".dat", ".atr"]))
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        path = random_.choice(files)
    content, deep = path.read_bytes(), random_.random() < 0.7
    if path.suffix == ".gz" and deep:
        path.write_bytes(gzip.compress(damaged(gzip.decompress(content), random_)))
    elif path.suffix == ".npz" and deep:
        path.write_bytes(_damaged_zip(content, random_))
    elif path.suffix == ".png" and deep:
        path.write_bytes(_damaged_png(content, random_))
    else:
        path.write_bytes(damaged(content, random_))


def _damaged_zip(content: bytes, random_: random.Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(buffer, "w") as target:
        chosen = random_.choice(source.namelist())
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, damaged(data, random_) if name == chosen else data)
    return buffer.getvalue()


def _damaged_png(content: bytes, random_: random.Random) -> bytes:
    """Damage the data of one chunk, and write its checksum anew."""
    chunks, at = [], 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    chosen = random_.randrange(len(chunks))
    written = [content[:8]]
    for i, (name, whole) in enumerate(chunks):
        data = damaged(whole, random_) if i == chosen and whole else whole
        written.append(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))
    return b"".join(written)


def read_everything(path: Path) -> int:
    """Call every reader for a file; return how many of them refused it with a `UserError` of one line.

    Whatever else they raise is raised, and an `AssertionError` where one takes longer than `SECONDS`.
    """
    said = []
    for read in _readers(path):
        started = time.monotonic()
        try:
            read()
        except UserError as error:
            said.append(str(error))
        took = time.monotonic() - started
        assert took < SECONDS, f"took {took:.0f} seconds"
    for line in said:
        assert "\n" not in line, line
        assert path.name.split(".")[0] in line, line  # it names the file
    return len(said)


def _corner(path: Path) -> np.ndarray:
    """A few values of a source, however large it is."""
    source = open_source(path)
    return source[(slice(2), *[slice(1, 3)] * (len(source.shape) - 1))]


def _readers(path: Path) -> list[Callable[[], object]]:
    name = path.name
    if name.endswith(POLYGON_SUFFIXES):
        return [lambda: burn(read_polygons(path), (1,) * 999, path, PLACE, alone=True, ground=0)]
    if name.endswith((".fa", ".fa.gz")):
        return [lambda: [open_sequence(path, key)[:, :].sum() for key in sequence_lengths(path)]]
    if name.endswith((".gff3", ".gtf.gz", ".bed")):
        return [lambda: label([f for f in read_features(path) if f.sequence == "a"], channels(("CDS", "feature")), 153)]
    if name.endswith(".mat"):
        return [lambda: read_annotators(path), lambda: read_annotators(path, segmentation=True)]
    if name.endswith(".bw"):
        return [lambda: Tracks([path], "a", 153, ("a", "b"))[:, 3:90], lambda: Tracks([path], "b", 6, ("a", "b"))[...]]
    return _grid_readers(path)


def _grid_readers(path: Path) -> list[Callable[[], object]]:
    name = path.name
    common = [
        lambda: read_header(path), lambda: read_image(path), lambda: _corner(path),
        lambda: None if (valid := open_valid(path)) is None else valid[..., :3],
    ]  # fmt: skip
    if name.endswith((".csv", ".npz")):
        return [*common, lambda: has_label(path), lambda: read_words(path), lambda: read_values(path)]
    if name.endswith((".edf", ".bdf", ".hea")):
        more = [lambda: channel_names(path), lambda: has_signals(path), lambda: is_annotated(path, "atr")]
        return [*common, *more, lambda: read_annotations(path, "atr")]
    if name.endswith((".svs", ".ndpi", ".scn", ".tiff")):
        common.append(lambda: [read_level(path, level) for level in range(len(read_pyramid(path)))])
    return [*common, lambda: read_values(path), lambda: read_label(path)]


def copy(source: Path, target: Path) -> Path:
    """Copy a file or a folder, and what lies beside a WFDB header or a shapefile."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)
        if source.suffix == ".shp":
            for suffix in (".shx", ".dbf", ".prj", ".cpg"):
                shutil.copy(source.with_suffix(suffix), target.with_suffix(suffix))
        if source.suffix == ".hea":
            for suffix in (".dat", ".atr"):
                shutil.copy(source.with_suffix(suffix), target.with_suffix(suffix))
    return target
