"""Signals in NumPy's .npz: arrays `signal` and `label`, and `rate` where it is known."""

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from atrous.data.formats.header import Header

SUFFIXES = (".npz",)
ERRORS = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError)
"""What numpy raises on files that are damaged or are not .npz."""

SIGNAL_NAMES = ("signal", "signals", "data", "x")
LABEL_NAMES = ("label", "labels", "annotation", "y")
RATE_NAMES = ("rate", "sampling_rate", "fs")


def read_header(path: Path) -> Header:
    """Header of the signal, or of labels alone as one channel; spacing in seconds where the file has the rate."""
    rate = _found(path, RATE_NAMES)
    label = _found(path, LABEL_NAMES) if _found(path, SIGNAL_NAMES) is None else None
    shape = read_image(path).shape if label is None else (1, len(label))
    return Header(shape, "float32", "signal", spacing=None if rate is None else (1 / float(rate),))


def read_image(path: Path) -> np.ndarray:
    """The signal, `(C, L)` float32: its longer axis, or the one as long as the labels, is time."""
    signal = _found(path, SIGNAL_NAMES)
    if signal is None:
        raise ValueError(f"no array {' or '.join(SIGNAL_NAMES)} in it")
    if signal.ndim not in (1, 2):
        raise ValueError(f"its signal has {signal.ndim} axes: give (channels, length)")
    if signal.ndim == 1:
        return signal[None].astype(np.float32)
    label = _found(path, LABEL_NAMES)
    length = max(signal.shape) if label is None else len(label)
    return np.ascontiguousarray(signal if signal.shape[1] == length else signal.T, dtype=np.float32)


def has_label(path: Path) -> bool:
    """Whether there is a label array."""
    return _found(path, LABEL_NAMES) is not None


def read_words(path: Path) -> np.ndarray | None:
    """Labels `(L,)` as strings; None when they are numbers."""
    label = _label(path)
    return label if label.dtype.kind == "U" else None


def read_values(path: Path) -> np.ndarray:
    """Labels `(L,)` as numbers."""
    return _label(path)


def encode_label(words: np.ndarray, _: Path | None) -> bytes:
    """Bytes of a .npz with the array `label`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, label=words)
    return buffer.getvalue()


def _label(path: Path) -> np.ndarray:
    label = _found(path, LABEL_NAMES)
    if label is None:
        raise ValueError(f"no array {' or '.join(LABEL_NAMES)} in it")
    if label.ndim != 1:
        raise ValueError(f"its labels have {label.ndim} axes: give one per sample")
    return label


def _found(path: Path, names: tuple[str, ...]) -> np.ndarray | None:
    with np.load(path, allow_pickle=False) as file:
        return next((file[name] for name in names if name in file.files), None)
