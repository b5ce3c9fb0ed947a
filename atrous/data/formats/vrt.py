"""GDAL's virtual rasters, `.vrt`: XML that names other files. They are read where they are allowed, and checked first.

Such a file can make GDAL open any file or address and, with pixel functions, run code. So `.vrt` files are refused
unless the environment variable `ATROUS_ALLOW` holds `vrt`, and then may name GeoTIFF and JPEG 2000 files in their own
folder alone.
"""

from pathlib import Path
from xml.etree import ElementTree

from atrous.data.formats.base import FileFault
from atrous.data.inside import ALLOW, is_allowed, is_plain_name

MOST_BYTES = 64 << 20
"""Larger VRT files are refused; one of 100,000 sources has about 50 MB."""
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_JP2 = (b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
_SOURCES = {"SimpleSource", "ComplexSource", "AveragedSource", "KernelFilteredSource"}
_CLASSES = {None, "VRTSourcedRasterBand"}
_NAMES = {"SourceFilename", "SourceDataset", "Filename", "LineSource", "DataSource", "SrcDataset", "Dataset", "Step"}


def require_safe(path: Path) -> None:
    """Raise unless a VRT is allowed and names rasters in its own folder alone.

    Raises:
        FileFault: it is not allowed, is no VRT, or does more than join rasters of its folder.
    """
    if not is_allowed("vrt"):
        fix = f"set {ALLOW}=vrt if you trust it, or convert it: gdal_translate {path.name} {path.stem}.tif"
        raise FileFault(path, "a VRT makes GDAL open the files that it names", fix)
    if path.stat().st_size > MOST_BYTES:
        raise FileFault(path, f"a VRT of more than {MOST_BYTES >> 20} MB", "convert it with gdal_translate")
    content = path.read_bytes()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise FileFault(path, "a VRT that defines entities", "write it with gdalbuildvrt")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise FileFault(path, f"cannot be read as VRT ({error})", "write it again with gdalbuildvrt") from error
    if root.tag != "VRTDataset" or root.get("subClass") is not None:
        raise FileFault(path, "a VRT that does more than join rasters", "convert it with gdal_translate")
    for element in root.iter():
        _check(path, element)


def _check(path: Path, element: ElementTree.Element) -> None:
    tag = element.tag.split("}")[-1]
    unknown = tag.endswith("Source") and tag not in _SOURCES
    if (
        unknown
        or (tag == "VRTRasterBand" and element.get("subClass") not in _CLASSES)
        or tag.startswith("PixelFunction")
    ):
        raise FileFault(path, f"a VRT that does more than join rasters ({tag})", "convert it with gdal_translate")
    if tag == "OpenOptions":
        raise FileFault(path, "a VRT with open options", "write it again with gdalbuildvrt")
    if tag not in _NAMES:
        return
    name = (element.text or "").strip()
    source = path.parent / name
    relative = tag == "SourceFilename" and element.get("relativeToVRT") == "1" and is_plain_name(name)
    if not relative or not source.resolve().is_relative_to(path.parent.resolve()):
        fix = "put the rasters beside it, and build it there with gdalbuildvrt"
        raise FileFault(path, f"a VRT that names {name[:80]!r}, not a file in its folder", fix)
    if not source.is_file():
        raise FileFault(path, f"it names {name[:80]!r}, which is not there", "copy it too")
    with source.open("rb") as file:
        head = file.read(4096)
    if not head.startswith(_TIFF + _JP2) or b"<VRTDataset" in head:
        raise FileFault(path, f"it names {name[:80]!r}, which is neither GeoTIFF nor JPEG 2000", "convert that file")
