"""The scale and the channel names that microscopes write into TIFF files: OME-XML, and the description of ImageJ."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from atrous.data.formats.axes import micrometers
from atrous.data.formats.base import FileFault, require_bytes
from atrous.data.inside import is_plain_name

_NUMBERS = {"": 1.0, "s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0}
"""Seconds in each unit of time that occurs in OME-XML; "" is the default."""

_PARSED = 20
"""Bytes of memory for each byte of XML, while it is read."""


@dataclass(frozen=True)
class Scale:
    """The physical scale of a microscope image.

    Attributes:
        size: distance of positions along the axes `Z`, `Y` and `X` in micrometers, and along `T` in seconds; axes whose
            distance is unknown are missing.
        names: of the channels.
    """

    size: dict[str, float]
    names: tuple[str, ...] = ()

    def spacing(self, letters: str) -> tuple[float, ...] | None:
        """Return the distance of positions along these axes; None if one of them is unknown."""
        sizes = [self.size.get(letter) for letter in letters]
        return tuple(size for size in sizes if size) if all(sizes) else None


def read_scale(file: Any) -> Scale | None:
    """Return the scale of the first image of an open TIFF; None if the file has neither OME-XML nor ImageJ's text."""
    if file.is_ome and file.ome_metadata:
        return _from_xml(file.ome_metadata)
    if file.is_imagej:
        return _from_imagej(file)
    return None


def require_beside(path: Path, file: Any) -> None:
    """Raise if the OME-XML of an open TIFF names files of the image that are elsewhere or missing.

    tifffile opens what is named, wherever it is, and reads zeros for what is missing.

    Raises:
        FileFault: a name leaves the folder of the file, or there is no such file; or the XML is too long to be read.
    """
    if not file.is_ome or not file.ome_metadata:
        return
    if "<!DOCTYPE" in file.ome_metadata or "<!ENTITY" in file.ome_metadata:
        raise FileFault(path, "its OME-XML defines entities", "save it again without them")
    require_bytes(path, _PARSED * len(file.ome_metadata), "its OME-XML", "save it again without the metadata")
    root = ElementTree.fromstring(file.ome_metadata)
    for part in root.iter():
        name = part.get("FileName") if part.tag.endswith("}UUID") else None
        own = part.text == root.get("UUID") if root.get("UUID") else name == path.name
        if name is None or own:
            continue
        if not is_plain_name(name) or not (path.parent / name).is_file():
            what = f"its OME-XML names the file {name[:80]!r}, which is not in its folder"
            raise FileFault(path, what, "copy all files of the image into one folder, or save it as one file")


def scale_metadata(spacing: tuple[float, ...] | None, letters: str) -> dict[str, object]:
    """Return the argument `metadata` with which tifffile writes this scale into OME-XML."""
    metadata: dict[str, object] = {}
    for letter, size in zip(letters, spacing or (), strict=False):
        if letter == "T":
            metadata |= {"TimeIncrement": size, "TimeIncrementUnit": "s"}
        else:
            metadata |= {f"PhysicalSize{letter}": size, f"PhysicalSize{letter}Unit": "µm"}
    return metadata


def _from_xml(xml: str) -> Scale:
    root = ElementTree.fromstring(xml)
    pixels = next((element for element in root.iter() if element.tag.endswith("}Pixels")), None)
    if pixels is None:
        return Scale({})
    size: dict[str, float] = {}
    for letter in "XYZ":
        written = pixels.get(f"PhysicalSize{letter}")
        length = None if written is None else micrometers(float(written), pixels.get(f"PhysicalSize{letter}Unit", "µm"))
        if length:
            size[letter] = length
    step, unit = pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit", "s")
    if step is not None and float(step) > 0 and unit in _NUMBERS:
        size["T"] = float(step) * _NUMBERS[unit]
    channels = [element for element in pixels if element.tag.endswith("}Channel")]
    names = tuple(channel.get("Name", "") for channel in channels)
    return Scale(size, names if any(names) else ())


def _from_imagej(file: Any) -> Scale:
    metadata = file.imagej_metadata or {}
    size: dict[str, float] = {}
    unit = str(metadata.get("unit", ""))
    if "\\" in unit:  # ImageJ escapes the micro sign
        unit = unit.encode().decode("unicode_escape")
    tags = file.pages.first.tags
    for letter, name in (("X", "XResolution"), ("Y", "YResolution")):
        resolution = tags.get(name)
        if resolution is not None and resolution.value[0] > 0:
            length = micrometers(resolution.value[1] / resolution.value[0], unit)
            if length:
                size[letter] = length
    depth = micrometers(float(metadata.get("spacing", 0)), unit)
    if depth:
        size["Z"] = depth
    if float(metadata.get("finterval", 0)) > 0:
        size["T"] = float(metadata["finterval"])
    names = tuple(str(label) for label in metadata.get("Labels", ()) or ())
    return Scale(size, names)
