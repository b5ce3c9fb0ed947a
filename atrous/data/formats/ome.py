"""Axes, scale and channels of TIFFs from microscopes: OME-XML and ImageJ's description."""

from dataclasses import dataclass
from xml.etree import ElementTree

import tifffile

from atrous.data.formats.axes import micrometers

_NUMBERS = {"": 1.0, "s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0}
"""Seconds in each unit of time that OME-XML allows and that occurs."""


@dataclass(frozen=True)
class Scale:
    """What a microscope says of its picture.

    Attributes:
        size: per letter `Z`, `Y`, `X`: distance of positions in micrometers; per `T`: seconds; what is not said is
            missing.
        names: of the channels.
    """

    size: dict[str, float]
    names: tuple[str, ...] = ()

    def spacing(self, letters: str) -> tuple[float, ...] | None:
        """Distance of positions along these axes; None where one is not said."""
        found = [self.size.get(letter) for letter in letters]
        return tuple(one for one in found if one) if all(found) else None


def read_scale(file: tifffile.TiffFile) -> Scale | None:
    """Scale of a TIFF's first picture; None where no microscope wrote it."""
    if file.is_ome and file.ome_metadata:
        return _from_xml(file.ome_metadata)
    if file.is_imagej:
        return _from_imagej(file)
    return None


def scale_metadata(spacing: tuple[float, ...] | None, letters: str) -> dict[str, object]:
    """What tifffile is given as `metadata` so that the OME-XML says this scale."""
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
        given = pixels.get(f"PhysicalSize{letter}")
        found = None if given is None else micrometers(float(given), pixels.get(f"PhysicalSize{letter}Unit", "µm"))
        if found:
            size[letter] = found
    step, unit = pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit", "s")
    if step is not None and float(step) > 0 and unit in _NUMBERS:
        size["T"] = float(step) * _NUMBERS[unit]
    channels = [element for element in pixels if element.tag.endswith("}Channel")]
    names = tuple(channel.get("Name", "") for channel in channels)
    return Scale(size, names if any(names) else ())


def _from_imagej(file: tifffile.TiffFile) -> Scale:
    said = file.imagej_metadata or {}
    size: dict[str, float] = {}
    unit = str(said.get("unit", "")).encode().decode("unicode_escape") if "\\" in str(said.get("unit", "")) else None
    unit = unit or str(said.get("unit", ""))
    tags = file.pages.first.tags
    for letter, name in (("X", "XResolution"), ("Y", "YResolution")):
        resolution = tags.get(name)
        if resolution is not None and resolution.value[0] > 0:
            found = micrometers(resolution.value[1] / resolution.value[0], unit)
            if found:
                size[letter] = found
    depth = micrometers(float(said.get("spacing", 0)), unit)
    if depth:
        size["Z"] = depth
    if float(said.get("finterval", 0)) > 0:
        size["T"] = float(said["finterval"])
    names = tuple(str(label) for label in said.get("Labels", ()) or ())
    return Scale(size, names)
