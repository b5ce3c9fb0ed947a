"""Record which units of a run are done, in the folder of the sink itself, so that the same command goes on.

The record is a small zarr group. It works wherever the sink works: on disk, or in an object store. `done` holds a byte
for each unit, each in a chunk of its own, so that one mark is one write, also where several jobs share a run.
`state-P-U` holds what unit U gathered for the barriers of phase P.
"""

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.errors import UserError
from atrous.files import remove
from atrous.stream.resume import DAMAGE
from atrous.stream.sole import zarr_path

NAME = ".units"
State = dict[int, list[Tensor]]
"""What a unit gathered for each barrier, by operator (`gather.Joinable.state`)."""


class UnitRecord:
    """Which units are done, and what the units of earlier phases have gathered.

    Args:
        store: of zarr, of which the record takes the root: a path, or a store.
        count: units of the run.
        signed: tells runs with other results apart.

    Attributes:
        done: numbers of the units whose output is in the sink.

    Raises:
        UserError: the record belongs to another run, or is damaged.
    """

    def __init__(self, store: Any, count: int, signed: str) -> None:
        import zarr
        from zarr.errors import ContainsArrayError

        self._store = store
        try:
            self._group: Any = zarr.open_group(store, mode="a", zarr_format=3)
            found = dict(self._group.attrs)
            if found and found != {"signature": signed, "count": count}:
                raise UserError(
                    f"{self}: belongs to another run, with another network, other weights, another input shape or "
                    "other options: delete it to start from the beginning"
                )
            if "done" not in self._group:
                with suppress(ContainsArrayError):  # another job of the same run was faster
                    self._group.create_array("done", shape=(count,), chunks=(1,), dtype="uint8", compressors=None)
            if not found:
                self._group.attrs.update({"signature": signed, "count": count})
            self._done = self._group["done"]
            self.done = {int(number) for number in np.flatnonzero(self._done[...])}
            self._states = {name for name in self._group.array_keys() if name.startswith("state-")}
        except (KeyError, TypeError, ValueError) as error:
            what = f"the record of the interrupted run is damaged ({type(error).__name__})"
            raise UserError(f"{self}: {what}: delete it to start from the beginning") from error

    @classmethod
    def beside(cls, sink: Any, count: int, signed: str) -> "UnitRecord":
        """Open the record of runs into a sink: in the folder of a zarr array, or beside a mapped file.

        Raises:
            UserError: as above, or the sink does not outlive the process.
        """
        file: Any = getattr(sink, "filename", None)
        if isinstance(sink, np.memmap) and file is not None:
            return cls(str(Path(file).with_name(f"{Path(file).name}{NAME}")), count, signed)
        if (folder := zarr_path(sink)) is not None:
            return cls(str(folder / NAME), count, signed)
        store: Any = getattr(sink, "store", None)
        if not (hasattr(store, "fs") and hasattr(store, "path")):
            raise UserError(
                "resume=True needs a sink that outlives the process: give a memmap, or a zarr array on disk or at a URL"
            )
        # zarr allows no group below an array, so the record has a store of its own in the folder of the array
        path = "/".join(part for part in (store.path.rstrip("/"), str(getattr(sink, "path", "")), NAME) if part)
        return cls(type(store)(fs=store.fs, path=path), count, signed)

    def __str__(self) -> str:
        return str(self._store)

    def mark(self, unit: int) -> None:
        """Note that the output of a unit is in the sink."""
        self._done[unit] = 1
        self.done.add(unit)

    def keep(self, phase: int, unit: int, state: State) -> None:
        """Keep what a unit has gathered."""
        buffer = io.BytesIO()
        tensors = {f"{i}-{k}": t.cpu().numpy() for i, each in state.items() for k, t in enumerate(each)}
        np.savez(buffer, **tensors)  # pyright: ignore[reportArgumentType]
        name, values = f"state-{phase}-{unit}", np.frombuffer(buffer.getvalue(), np.uint8)
        self._group.create_array(name, data=values, chunks=(len(values),), compressors=None, overwrite=True)
        self._states.add(name)

    def kept(self, phase: int, unit: int) -> State | None:
        """Return what a unit has gathered; None where it is not there, or not whole."""
        if (name := f"state-{phase}-{unit}") not in self._states:
            return None
        state: State = {}
        try:
            with np.load(io.BytesIO(np.asarray(self._group[name][...]).tobytes())) as stored:
                for key in stored.files:
                    state.setdefault(int(key.partition("-")[0]), []).append(torch.from_numpy(stored[key]))
        except DAMAGE:  # the process was killed while it wrote: the unit gathers again
            return None
        return state

    def remove(self) -> None:
        """Delete the record: the run is complete, or begins anew."""
        if isinstance(self._store, str):
            remove(Path(self._store))
            return
        from zarr.core.sync import sync

        sync(self._store.clear())
