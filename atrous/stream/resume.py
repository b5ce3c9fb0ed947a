"""Record beside the sink how far a run has come, so that an interrupted run resumes after its last finished strip."""

import json
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.errors import UserError
from atrous.files import replacing
from atrous.geometry.graph import Graph

EVERY = 2.0  # seconds between records


def record_path(sink: Any) -> Path:
    """Return the path of the record of a run into this sink: beside a memmap's file or a zarr array's folder.

    Raises `UserError` for a sink that does not outlive the process.
    """
    place = getattr(sink, "filename", None)
    store = getattr(sink, "store", None)
    if place is None and store is not None:
        root = getattr(store, "root", None)
        place = None if root is None else Path(root) / str(getattr(sink, "path", ""))
    if place is None:
        raise UserError("resume=True needs a sink that outlives the process: give a memmap or a zarr array on disk")
    place = Path(place)
    return place.with_name(place.name + ".progress.npz")


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
    def open(cls, path: Path, signed: str, device: torch.device) -> "Record":
        """Return the record at `path` with its values on `device`, or a new one when there is none.

        Raises `UserError` when the record belongs to a run with another result.
        """
        record = cls(path, signed)
        if path.exists():
            with np.load(path, allow_pickle=False) as stored:
                head = json.loads(str(stored["head"]))
                if head["signature"] != signed:
                    raise UserError(
                        f"{path}: belongs to another run, with another network, other weights, another input shape or "
                        "other options: delete it to start from the beginning"
                    )
                record.passes, record.block, record.rows = head["passes"], head["block"], head["rows"]
                for name in stored.files:
                    if name != "head":
                        record.values[int(name[1:])] = torch.from_numpy(stored[name]).to(device)
        return record

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
