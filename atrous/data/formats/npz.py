"""Signals in NumPy's .npz: arrays `signal` and `label`, and `rate` where it is known."""

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from atrous.data.formats.base import Errors, Format, LabelDetails
from atrous.data.formats.header import Header

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
        return (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError)

    def header(self, path: Path) -> Header:
        """See `Format.header`; a file of labels alone counts as one channel. Spacing is in seconds."""
        rate = _array(path, RATE_NAMES)
        label = _array(path, LABEL_NAMES) if _array(path, SIGNAL_NAMES) is None else None
        shape = self.image(path).shape if label is None else (1, len(label))
        return Header(shape, "float32", "signal", spacing=None if rate is None else (1 / float(rate),))

    def image(self, path: Path) -> np.ndarray:
        """Return the signal, `(C, L)` float32: time is the axis as long as the labels, else the longer one."""
        signal = _array(path, SIGNAL_NAMES)
        if signal is None:
            raise ValueError(f"no array {' or '.join(SIGNAL_NAMES)} in it")
        if signal.ndim not in (1, 2):
            raise ValueError(f"its signal has {signal.ndim} axes: give (channels, length)")
        if signal.ndim == 1:
            return signal[None].astype(np.float32)
        label = _array(path, LABEL_NAMES)
        length = max(signal.shape) if label is None else len(label)
        return np.ascontiguousarray(signal if signal.shape[1] == length else signal.T, dtype=np.float32)

    def has_labels(self, path: Path) -> bool:
        """See `Format.has_labels`."""
        return _array(path, LABEL_NAMES) is not None

    def words(self, path: Path) -> np.ndarray | None:
        """See `Format.words`."""
        label = _label(path)
        return label if label.dtype.kind == "U" else None

    def values(self, path: Path) -> np.ndarray:
        """Return the labels `(L,)` as numbers."""
        return _label(path)

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return ".npz"

    def encode(self, path: Path, labels: np.ndarray, details: LabelDetails) -> bytes:
        """Return a .npz with the array `label`: the names of the classes where they are known, else numbers."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, label=labels if details.names is None else np.array(details.names)[labels])
        return buffer.getvalue()


def _label(path: Path) -> np.ndarray:
    label = _array(path, LABEL_NAMES)
    if label is None:
        raise ValueError(f"no array {' or '.join(LABEL_NAMES)} in it")
    if label.ndim != 1:
        raise ValueError(f"its labels have {label.ndim} axes: give one per sample")
    return label


def _array(path: Path, names: tuple[str, ...]) -> np.ndarray | None:
    """Return the first array that has one of these names, None if there is none."""
    with np.load(path, allow_pickle=False) as file:
        return next((file[name] for name in names if name in file.files), None)
