"""Folders of DICOM slices, told from other folders by the first bytes of their files."""

from pathlib import Path

_OTHER = (
    ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".npy", ".npz", ".nii", ".gz", ".csv", ".tsv",
    ".txt", ".json", ".toml", ".xml", ".md", ".mp4", ".safetensors", ".html",
)  # fmt: skip
_LOOKED_AT = 4


def is_dicom(path: Path) -> bool:
    """Whether a file says that it is DICOM: `DICM` after a preamble of 128 bytes."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def is_series(path: Path) -> bool:
    """Whether a folder holds DICOM files; its first few files of no other kind are looked at."""
    if not path.is_dir() or path.suffix.lower() == ".zarr":
        return False
    return any(is_dicom(file) for file in _candidates(path)[:_LOOKED_AT])


def slice_files(path: Path) -> list[Path]:
    """The DICOM files directly in a folder, sorted by name; the index DICOMDIR is none of them."""
    return [file for file in _candidates(path) if is_dicom(file)]


def _candidates(path: Path) -> list[Path]:
    files = (file for file in path.iterdir() if file.suffix.lower() not in _OTHER and file.name.upper() != "DICOMDIR")
    return sorted(file for file in files if not file.name.startswith(".") and file.is_file())
