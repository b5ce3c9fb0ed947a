"""Recordings that the libraries of their formats write themselves."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyedflib

from atrous.data.formats.wfdb_record import library

RNG = np.random.default_rng(0)


def write_edf(
    path: Path,
    signals: Sequence[np.ndarray],
    rates: Sequence[float],
    annotations: Sequence[tuple[float, float, str]] = (),
    names: Sequence[str] = ("EEG Fpz-Cz", "EOG", "Resp"),
) -> None:
    """EDF+ (BDF+ by the suffix) of `signals`, one array per channel; annotations are (start, duration, text)."""
    kind = pyedflib.FILETYPE_BDFPLUS if path.suffix == ".bdf" else pyedflib.FILETYPE_EDFPLUS
    top = 2 ** (23 if path.suffix == ".bdf" else 15)
    with pyedflib.EdfWriter(str(path), len(signals), file_type=kind) as writer:
        for i, rate in enumerate(rates):
            head = {"label": names[i], "dimension": "uV", "sample_frequency": rate, "transducer": "", "prefilter": ""}
            limits = {"physical_max": 500, "physical_min": -500, "digital_max": top - 1, "digital_min": -top}
            writer.setSignalHeader(i, head | limits)
        writer.writeSamples([np.ascontiguousarray(s, dtype=np.float64) for s in signals])
        for start, duration, text in annotations:
            writer.writeAnnotation(start, duration, text)


def write_record(path: Path, signals: np.ndarray, rate: float = 360, names: Sequence[str] = ("MLII", "V1")) -> None:
    """A WFDB record `path` (`.hea`) of signals `(C, L)` in mV."""
    with library(path) as wfdb:
        wfdb.wrsamp(
            path.stem,
            fs=rate,
            units=["mV"] * len(signals),
            sig_name=list(names[: len(signals)]),
            p_signal=signals.T.astype(np.float64),
            fmt=["16"] * len(signals),
            write_dir=str(path.parent),
        )


def annotate_record(path: Path, places: Sequence[int], symbols: str, notes: Sequence[str] | None = None) -> None:
    """An annotation file `.atr` beside a record."""
    with library(path) as wfdb:
        wfdb.wrann(
            path.stem,
            "atr",
            sample=np.array(places),
            symbol=list(symbols),
            aux_note=None if notes is None else list(notes),
            write_dir=str(path.parent),
        )


def write_edf_signals(root: Path, count: int = 6, length: int = 400, rate: float = 100.0) -> Path:
    """EDF+ recordings with bumps `p` and spikes `qrs` on noise, annotated as intervals, everything else `na`."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.toml").write_text('classes = ["na", "p", "qrs"]\n[annotations]\nbackground = "na"\n')
    rng = np.random.default_rng(0)
    for case in range(count):
        signal, annotations = rng.normal(0, 0.05, length), []
        for start in range(int(rng.integers(5, 30)), length - 50, 70):
            signal[start : start + 14] += 0.5 * np.sin(np.linspace(0, np.pi, 14))
            signal[start + 20 : start + 28] += 2 * np.sin(np.linspace(0, 2 * np.pi, 8))
            annotations += [(start / rate, 14 / rate, "p"), ((start + 20) / rate, 8 / rate, "qrs")]
        write_edf(root / f"patient{case}.edf", [100 * signal], [rate], annotations, ["ECG II"])
    return root
