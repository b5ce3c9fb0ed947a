"""Remember how far a run has come, beside its sink, so that a killed run goes on from its last finished strip."""

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
    """Where the record of a run into this sink lies: beside a memmap's file or a zarr array's folder.

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
    """A digest of the network, its weights to the last bit, and of what else must be the same for a run to go on."""
    digest = sha256(repr(facts).encode())
    for op in graph.ops:
        digest.update(repr((op.kind, op.shape, op.dtype, op.args, op.kwargs, op.item)).encode())
        if op.tensor is not None:
            numbers = op.tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(numbers.view(torch.uint8).numpy().data)
    return digest.hexdigest()


@dataclass
class Record:
    """How far a run has come: finished passes with what their barriers gathered, finished blocks, finished rows."""

    path: Path
    signature: str
    passes: int = 0
    block: int = 0
    rows: int | None = None
    values: dict[int, Tensor] = field(default_factory=dict)
    written: float = 0.0

    @classmethod
    def open(cls, path: Path, signed: str, device: torch.device) -> "Record":
        """The record at `path` when it belongs to the same run, its values on `device`; else a new one."""
        record = cls(path, signed)
        if path.exists():
            with np.load(path) as stored:
                head = json.loads(str(stored["head"]))
                if head["signature"] != signed:
                    raise UserError(
                        f"{path}: belongs to another run (network, weights, input or options differ): "
                        "delete it to start anew"
                    )
                record.passes, record.block, record.rows = head["passes"], head["block"], head["rows"]
                for name in stored.files:
                    if name != "head":
                        record.values[int(name[1:])] = torch.from_numpy(stored[name]).to(device)
        return record

    @property
    def due(self) -> bool:
        """Whether it is time to write the record again."""
        return time.monotonic() - self.written >= EVERY

    def save(self) -> None:
        """Write the record, atomically; what it counts as finished must be in the sink already."""
        head = json.dumps({"signature": self.signature, "passes": self.passes, "block": self.block, "rows": self.rows})
        values = {
            f"v{i}": (t.float() if t.dtype == torch.bfloat16 else t).cpu().numpy() for i, t in self.values.items()
        }
        with replacing(self.path) as beside, beside.open("wb") as file:
            np.savez(file, head=np.array(head), **values)  # pyright: ignore[reportArgumentType]
        self.written = time.monotonic()

    def remove(self) -> None:
        """The run is complete."""
        self.path.unlink(missing_ok=True)
