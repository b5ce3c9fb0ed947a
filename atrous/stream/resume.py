"""Record beside the sink how far a run has come, so that an interrupted run resumes after its last finished strip."""

import json
import os
import time
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from atrous.errors import UserError
from atrous.files import replacing, settle
from atrous.geometry.graph import Graph
from atrous.stream.sole import zarr_path

EVERY = 2.0  # seconds between records
CLOCK = 5.0  # seconds by which the times of files may be behind the clock


def record_path(sink: Any) -> Path:
    """Return the path of the record of a run into this sink: beside a memmap's file or a zarr array's folder.

    Raises `UserError` for a sink that does not outlive the process.
    """
    place = getattr(sink, "filename", None) or zarr_path(sink)
    if place is None:
        raise UserError("resume=True needs a sink that outlives the process: give a memmap or a zarr array on disk")
    return record_beside(Path(place))


def record_beside(place: Path) -> Path:
    """Return the path of the record of a run into a file or folder."""
    return place.with_name(place.name + ".progress.npz")


def settle_sink(sink: Any, since: float) -> None:
    """Return when what was written to a zarr array since a time (seconds of the epoch) lies on the disk.

    Sinks of other kinds have `flush`. A record must never count rows that a power cut can take away.
    """
    root = getattr(getattr(sink, "store", None), "root", None)
    if root is None:
        return
    for folder, _, names in os.walk(Path(root) / str(getattr(sink, "path", ""))):
        for name in names:
            file = Path(folder, name)
            if file.stat().st_mtime >= since - CLOCK:
                settle(file)


def signature(graph: Graph, facts: Any) -> str:
    """Return a digest of the network, every bit of its weights, and `facts`: equal for runs with the same result."""
    digest = sha256(repr(facts).encode())
    for op in graph.ops:
        digest.update(repr((op.kind, op.shape, op.dtype, op.args, op.kwargs, op.item)).encode())
        if op.tensor is not None:
            numbers = op.tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(numbers.view(torch.uint8).numpy().data)
    return digest.hexdigest()


@dataclass
class Record:
    """How far a run has come.

    Attributes:
        path: the file that holds the record.
        signature: tells runs with different results apart.
        passes: how many passes are finished.
        block: how many blocks of the current pass are finished.
        rows: output rows of the current block up to which the sink is written; None at its start.
        values: what the barriers of finished passes gave.
        written: when the record was last written, in seconds of the monotonic clock.
    """

    path: Path
    signature: str
    passes: int = 0
    block: int = 0
    rows: int | None = None
    values: dict[int, Tensor] = field(default_factory=dict)
    written: float = 0.0

    @classmethod
    def open(
        cls, path: Path, signed: str, device: torch.device, barriers: Sequence[dict[int, tuple[int, ...]]] = ()
    ) -> "Record":
        """Return the record at `path` with its values on `device`, or a new one when there is none.

        `barriers` holds for every pass the shapes of what its barriers give, which the record of that pass must hold.
        A damaged record is as good as none: a warning says so, and the run begins anew.

        Raises `UserError` when the record belongs to a run with another result.
        """
        if not path.exists():
            return cls(path, signed)
        try:
            stored = _read(path, device)
            _check(stored, barriers)
        except DAMAGE as error:
            warnings.warn(
                f"{path}: the record of the interrupted run is damaged ({type(error).__name__}): the run begins anew",
                stacklevel=2,
            )
            return cls(path, signed)
        if stored.signature != signed:
            raise UserError(
                f"{path}: belongs to another run, with another network, other weights, another input shape or "
                "other options: delete it to start from the beginning"
            )
        return stored

    @property
    def due(self) -> bool:
        """Whether the record was last written more than `EVERY` seconds ago."""
        return time.monotonic() - self.written >= EVERY

    def save(self) -> None:
        """Write the record, atomically. What it counts as finished must be in the sink already."""
        head = json.dumps({"signature": self.signature, "passes": self.passes, "block": self.block, "rows": self.rows})
        values = {
            f"v{i}": (t.float() if t.dtype == torch.bfloat16 else t).cpu().numpy() for i, t in self.values.items()
        }
        with replacing(self.path) as beside, beside.open("wb") as file:
            np.savez(file, head=np.array(head), **values)  # pyright: ignore[reportArgumentType]
        self.written = time.monotonic()

    def remove(self) -> None:
        """Delete the record, after the run is complete."""
        self.path.unlink(missing_ok=True)


DAMAGE = (BadZipFile, EOFError, KeyError, TypeError, UnpicklingError, ValueError, zlib.error)
"""What reading a file raises that is no record, or no longer a whole one."""


def _read(path: Path, device: torch.device) -> Record:
    """Return the record in a file; raise one of `DAMAGE` when it cannot be read."""
    with path.open("rb") as file:
        stored = np.load(file)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise ValueError("no archive")
        head = json.loads(str(stored["head"]))
        values = {int(name[1:]): torch.from_numpy(stored[name]).to(device) for name in stored.files if name != "head"}
    return Record(path, head["signature"], head["passes"], head["block"], head["rows"], values)


def _check(record: Record, barriers: Sequence[dict[int, tuple[int, ...]]]) -> None:
    """Raise one of `DAMAGE` unless the record's numbers are counts and it holds what its finished passes gave."""
    counts = (record.passes, record.block, 0 if record.rows is None else record.rows)
    if not isinstance(record.signature, str) or not all(type(n) is int and n >= 0 for n in counts):
        raise ValueError("no counts")
    if barriers and record.passes >= len(barriers):
        raise ValueError("more passes than the run has")
    for shapes in barriers[: record.passes]:
        if any(tuple(record.values[i].shape) != tuple(shape) for i, shape in shapes.items()):
            raise ValueError("other shapes")
