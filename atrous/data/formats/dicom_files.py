"""DICOM files one by one: which ones are, by their content; how they are read; and the numbers in their elements."""

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.base import FileFault, Library, require_bytes

pydicom: Any = Library("pydicom", 'DICOM series need pydicom: pip install "atrous[medical]"')
_OTHER = (
    ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".npy", ".npz", ".nii", ".gz", ".csv", ".tsv",
    ".txt", ".json", ".toml", ".xml", ".md", ".mp4", ".safetensors", ".html",
)  # fmt: skip
"""Suffixes of files that are not opened to see whether they are DICOM."""
_DEFLATED = "1.2.840.10008.1.2.1.99"
_TYPES = frozenset(
    re.findall(rb"..", b"AEASATCSDADSDTFLFDISLOLTOBODOFOLOWPNSHSLSQSSSTTMUIULUNUSUT")  # AE, AS, AT and so on
)
"""Types of values (DICOM PS3.5, 6.2)."""
_MOST_FIRST = 256
"""Longest value of a first element that is believed of a file without DICOM's mark."""


def is_dicom(path: Path) -> bool:
    """Return whether a file has DICOM's mark, `DICM` after 128 bytes, or begins with an element of the first groups.

    Old files lack the mark. They begin with group 2 or 8: its number, that of the element, and then two letters for
    the type of the value, or a length of four bytes.
    """
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    if head[128:] == b"DICM":
        return True
    if len(head) < 132 or head[:2] not in (b"\x02\x00", b"\x08\x00"):
        return False
    element, length = struct.unpack("<HI", head[2:8])
    return head[4:6] in _TYPES or (element in (0x0000, 0x0001, 0x0005, 0x0008, 0x0016) and length <= _MOST_FIRST)


def read_dicom(path: Path, header: bool) -> Any:
    """Read a DICOM file, also one without DICOM's mark; `header` stops before the pixels.

    Raises:
        FileFault: it is deflated, and inflates beyond the memory of this process.
    """
    with path.open("rb") as file:
        marked = file.read(132)[128:] == b"DICM"
    if marked:
        meta = pydicom.filereader.read_file_meta_info(path)
        if str(meta.get("TransferSyntaxUID", "")) == _DEFLATED:
            _require_room_inflated(path)
    dataset = pydicom.dcmread(path, stop_before_pixels=header, force=not marked)
    if "NumberOfFrames" in dataset and not dataset.NumberOfFrames:  # empty: one
        del dataset.NumberOfFrames
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        names = {(True, True): "Implicit", (False, True): "Explicit"}
        if (implicit, little) not in names:
            raise ValueError("it does not say how its values are encoded")
        dataset.file_meta.TransferSyntaxUID = getattr(pydicom.uid, f"{names[implicit, little]}VRLittleEndian")
    return dataset


def _require_room_inflated(path: Path) -> None:
    """Raise if a deflated file inflates beyond the memory of this process; what is inflated is not kept."""
    with path.open("rb") as file:
        pydicom.filereader.read_preamble(file, False)
        pydicom.filereader._read_file_meta_info(file)
        inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while piece := inflate.unconsumed_tail or file.read(1 << 20):
            size += len(inflate.decompress(piece, 1 << 20))
            require_bytes(path, 2 * size, "what it inflates to", "save it without deflation (dcmconv +te)")
            if inflate.eof:
                return


def candidates(path: Path) -> list[Path]:
    """Return the files directly in a folder that may be slices, by name; the index file DICOMDIR is not."""
    files = (file for file in path.iterdir() if file.suffix.lower() not in _OTHER and file.name.upper() != "DICOMDIR")
    return sorted(file for file in files if not file.name.startswith(".") and file.is_file())


def number(path: Path, dataset: Any, key: str, default: float | None = None) -> float:
    """Return the number in an element; the default only where the element is missing.

    Raises:
        FileFault: the element is there and has no value, is missing without a default, or is no finite number.
    """
    if key not in dataset and default is not None:
        return default
    value = dataset.get(key)
    if value is None or value == "":
        state = "is empty" if key in dataset else "is missing"
        raise FileFault(path, f"its {key} {state}", f"write its value (dcmodify -i {key}=...), or export it again")
    found = float(value)
    if not np.isfinite(found):
        raise FileFault(path, f"its {key} is {value}", "export it again")
    return found
