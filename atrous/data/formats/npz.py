"""Signals in NumPy's .npz: arrays `signal` and `label`, and `rate` where it is known."""

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.formats.base import Errors, FileFault, Format, LabelDetails, require_room
from atrous.data.formats.header import Header
from atrous.data.formats.npy import read_npy_header

SIGNAL_NAMES = ("signal", "signals", "data", "x")
LABEL_NAMES = ("label", "labels", "annotation", "y")
RATE_NAMES = ("rate", "sampling_rate", "fs")


class NpzFormat(Format):
    """Files with the arrays of one recording; `SIGNAL_NAMES`, `LABEL_NAMES` and `RATE_NAMES` are their names."""

    name = ".npz files"
    suffixes = (".npz",)
    kind = "signal"
    label_suffixes = (".npz",)

    @property
    def errors(self) -> Errors:
        """See `Format.errors`."""
        return (
            OSError,
            ValueError,
            KeyError,
            EOFError,
            zipfile.BadZipFile,
            zlib.error,
            MemoryError,
            NotImplementedError,
            RuntimeError,
        )

    def header(self, path: Path) -> Header:
        """See `Format.header`; a file of labels alone counts as one channel. Spacing is in seconds."""
        rate, signal, label = (_declared(path, names) for names in (RATE_NAMES, SIGNAL_NAMES, LABEL_NAMES))
        if signal is not None:
            shape = _channels_and_length(signal.shape, None if label is None else label.shape)
        elif label is not None:
            shape = (1, *label.shape)
        else:
            raise _no_signal(path)
        return Header(shape, "float32", "signal", spacing=None if rate is None else (1 / _rate(path),))

    def image(self, path: Path) -> np.ndarray:
        """Return the signal, `(C, L)` float32: time is the axis as long as the labels, else the longer one."""
        shape = self.header(path).shape
        signal = _array(path, SIGNAL_NAMES)
        if signal is None:
            raise _no_signal(path)
        stored = signal[None] if signal.ndim == 1 else signal
        return np.ascontiguousarray(stored if stored.shape == shape else stored.T, dtype=np.float32)

    def has_labels(self, path: Path) -> bool:
        """See `Format.has_labels`."""
        return _declared(path, LABEL_NAMES) is not None

    def words(self, path: Path) -> np.ndarray | None:
        """See `Format.words`."""
        label = _label(path)
        return label if label.dtype.kind == "U" else None

    def values(self, path: Path) -> np.ndarray:
        """Return the labels `(L,)` as numbers."""
        return _label(path)

    def numbers(self, path: Path) -> np.ndarray:
        """See `Format.numbers`: the array `label`, `(L,)` or `(K, L)`."""
        label, length = _array(path, LABEL_NAMES), self.header(path).shape[1]
        if label is None or label.dtype.kind == "U":
            raise ValueError(f"no array {' or '.join(LABEL_NAMES)} of numbers in it")
        rows = label[None] if label.ndim == 1 else label
        if rows.ndim != 2 or length not in rows.shape:
            raise ValueError(f"its labels are of shape {label.shape}: give a number, or several, for each sample")
        return np.ascontiguousarray(rows if rows.shape[1] == length else rows.T, dtype=np.float32)

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return ".npz"

    def encode(self, path: Path, labels: np.ndarray, details: LabelDetails) -> bytes:
        """Return a .npz with the array `label`: the names of the classes where they are known, else numbers."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, label=details.words(labels))
        return buffer.getvalue()


def _no_signal(path: Path) -> FileFault:
    with zipfile.ZipFile(path) as file:
        names = [Path(name).stem for name in file.namelist()]
    what = f"it has no array {' or '.join(SIGNAL_NAMES)} (it has {', '.join(names[:6]) or 'none'})"
    return FileFault(path, what, "name the recording `signal` and its labels `label`; save images as PNG, TIFF or .npy")


def _label(path: Path) -> np.ndarray:
    label = _array(path, LABEL_NAMES)
    if label is None:
        raise ValueError(f"no array {' or '.join(LABEL_NAMES)} in it")
    if label.ndim != 1:
        raise ValueError(f"its labels have {label.ndim} axes: give one per sample")
    return label


def _channels_and_length(signal: tuple[int, ...], label: tuple[int, ...] | None) -> tuple[int, int]:
    """Return `(C, L)` of a signal of this shape, with labels of that shape."""
    if len(signal) not in (1, 2):
        raise ValueError(f"its signal has {len(signal)} axes: give (channels, length)")
    if len(signal) == 1:
        return 1, signal[0]
    rows, columns = signal
    length = max([n for n in label or () if n in signal], default=max(signal))
    return (rows, columns) if columns == length else (columns, rows)


def _rate(path: Path) -> float:
    rate = _array(path, RATE_NAMES)
    value = float("nan") if rate is None or rate.size != 1 else float(rate.reshape(-1)[0])
    if not 0 < value < float("inf"):
        raise ValueError("its sampling rate is not a positive number")
    return value


@dataclass(frozen=True)
class _Declared:
    """An array as its header in the file declares it."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


def _declared(path: Path, names: tuple[str, ...]) -> _Declared | None:
    """Return the first array that has one of these names, None if there is none; its values are not decoded."""
    with zipfile.ZipFile(path) as file:
        name = next((name for name in names if f"{name}.npy" in file.namelist()), None)
        if name is None:
            return None
        with file.open(f"{name}.npy") as opened:
            shape, dtype = read_npy_header(path, opened, f"its array {name!r}")
    if dtype.kind not in ("buifU" if names is LABEL_NAMES else "buif"):
        raise ValueError(f"its array {name!r} is of type {dtype}, not numbers")
    return _Declared(name, shape, dtype)


def _array(path: Path, names: tuple[str, ...]) -> np.ndarray | None:
    """Return the first array that has one of these names, None if there is none."""
    declared = _declared(path, names)
    if declared is None:
        return None
    require_room(path, declared.shape, declared.dtype, f"its array {declared.name!r}")
    with np.load(path, allow_pickle=False) as file:
        return file[declared.name]
