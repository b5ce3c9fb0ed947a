"""Predictions on a Dask cluster: workers compute regions of each input, and this process writes the files from them.

The regions are those of `regions.py`, which lie in a hidden folder beside the labels until all are there. So the
workers must see the inputs and the output folder under the same paths. Everything that `run_jobs` writes is written in
the same way as without a cluster, from the same numbers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.data.source import Sink, Source
from atrous.data.views import look_for_gaps
from atrous.device import check_device
from atrous.errors import UserError
from atrous.geometry.plan import StreamPlan
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.intervals import with_intervals
from atrous.prediction.jobs import PredictionJob, Written, run_jobs
from atrous.prediction.predictor import Predictor
from atrous.prediction.regions import Regions, compute_region, open_regions, options, remove_regions
from atrous.stream.cluster import gathered
from atrous.stream.dispatch import Cluster, Dispatch
from atrous.stream.unit_record import State, UnitRecord
from atrous.stream.units import Units
from atrous.stream.worker import UnitWork, gather_unit, layout, require_alike


@dataclass
class RegionWork(UnitWork):
    """A trained network on one input, whose regions go into files.

    Attributes:
        predictor: the network, as it was loaded.
        item: the input.
        folder: of the regions.
        units: how the output is cut.
        values: see `Regions`.
        signed: `layout` of the graph that the client exported.
        device: where to compute.
    """

    predictor: Predictor
    item: Input
    folder: Path
    units: Units
    values: str
    signed: str
    device: str

    @cached_property
    def opened(self) -> tuple[Predictor, Regions]:
        """The network and the input, opened once in this process."""
        predictor = self.predictor
        if self.device != predictor.device:
            check_device(self.device)
            predictor = replace(predictor, network=predictor.network.to(self.device), device=self.device)
        opened = predictor.open(self.item)
        ready = predictor.prepared(tuple(int(n) for n in opened.source.shape))
        require_alike(ready.graph, self.signed)
        return predictor, Regions(opened, self.folder, ready, self.units, self.values)

    def compute(self, unit: int, known: dict[int, Tensor]) -> None:
        """See `UnitWork.compute`: the region is a file."""
        predictor, regions = self.opened
        compute_region(predictor, regions, unit, known)

    def gather(self, phase: int, unit: int, known: dict[int, Tensor]) -> State:
        """See `UnitWork.gather`."""
        predictor, regions = self.opened
        assert regions.ready is not None
        source = predictor.standardized(regions.opened.source)
        return gather_unit(regions.ready, self.units, (phase, unit), known, source, options(predictor))


class ClusterPredictor:
    """A `worker.Worker` whose values are computed on a cluster; what goes through the network whole is computed here.

    Args:
        predictor: of images, volumes or signals.
        cluster: where regions are computed.
        jobs: inputs and outputs.

    Raises:
        UserError: the network reads other data, which are not cut into regions.
    """

    def __init__(self, predictor: Predictor, cluster: Cluster, jobs: Sequence[PredictionJob]) -> None:
        if predictor.kind != "grids":
            raise UserError(f"--dask is for images, volumes and signals, not for {predictor.kind}: leave it out")
        self._predictor, self._cluster = predictor, cluster
        self._paths = {job.source: job.outputs[-1].paths[0] for job in jobs}
        self._current: tuple[Input, Opened] | None = None
        self.dtype, self.engine, self.device = predictor.dtype, predictor.engine, predictor.device

    def parts(self, item: Input) -> Iterator[Opened]:
        """See `worker.Worker`."""
        opened = self._predictor.open(item)
        self._current = item, opened
        yield opened

    def plan(self, shape: tuple[int, ...]) -> StreamPlan | None:
        """See `worker.Worker`: how the input is cut into units; None if it goes through the network whole."""
        regions = self._regions(shape, "labels")
        plan = None if regions.units is None else self._predictor.plan(shape)
        if plan is None or regions.units is None:
            return None
        units = regions.units
        itemsize = torch.float32.itemsize if self._current is None else self._current[1].source.dtype.itemsize
        reads = f"read {units.numbers * itemsize / 1e9:.3g} GB"
        reason = f"on a cluster; halos add {100 * (units.work - 1):.1f} % to the work; they {reads}"
        return replace(
            plan, strategy="units", window=units.sides, blocks=len(units), passes=units.passes, macs=units.macs,
            reason=reason,
        )  # fmt: skip

    def write(
        self,
        source: Source,
        labels: Sink | None = None,
        probabilities: Sink | None = None,
        *,
        resume: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """See `worker.Worker`. Regions that an interrupted run has left are not computed again."""
        labels, probabilities, _ = with_intervals(self._predictor.task, labels, probabilities)
        values = "labels" if probabilities is None else "probabilities" if labels is None else "both"
        regions = self._regions(tuple(int(n) for n in source.shape), values)
        if regions.ready is None:
            self._predictor.write(source, labels, probabilities, progress=progress)
            return
        self._compute(regions, progress or (lambda done: None))
        look_for_gaps(regions.opened.valid)  # the workers have read the input
        for number in range(len(regions)):
            place, found = regions.region(number), regions.read(number)
            if labels is not None:
                labels[place] = found[0].astype(np.uint8) if values == "both" else found
            if probabilities is not None:
                probabilities[(slice(None), *place)] = found[1:] if values == "both" else found

    def _regions(self, shape: tuple[int, ...], values: str) -> Regions:
        assert self._current is not None
        item, opened = self._current
        return open_regions(self._predictor, item, opened, self._paths[item], values)

    def _compute(self, regions: Regions, progress: Callable[[float], None]) -> None:
        """Let the workers compute the regions that are missing."""
        assert regions.ready is not None
        assert regions.units is not None
        assert self._current is not None
        missing, units, cluster = regions.missing(), regions.units, self._cluster
        if len(missing) < len(units):
            cluster.tell(f"{len(units) - len(missing)} of {len(units)} units are done already")
        if not missing:
            return
        regions.folder.mkdir(parents=True, exist_ok=True)
        item = replace(self._current[0], files=tuple(file.absolute() for file in self._current[0].files))
        work = RegionWork(
            replace(self._predictor), item, regions.folder.absolute(), units, regions.values,
            layout(regions.ready.graph), cluster.device or self._predictor.device,
        )  # fmt: skip
        folder, steps = regions.folder / "statistics", len(units.passes)
        record = UnitRecord(str(folder), len(units), regions.folder.name) if steps > 1 else None
        with Dispatch(cluster, work, units) as dispatch:
            known = gathered(dispatch, regions.ready, self.dtype, record, lambda share: progress(share / steps))
            for done, _ in enumerate(dispatch.outcomes(None, missing, known)):
                progress((steps - 1 + (done + 1) / len(missing)) / steps)


def predict_on_cluster(
    predictor: Predictor,
    jobs: Sequence[PredictionJob],
    cluster: Cluster,
    folder: Path,
    progress: Callable[[float], None] = lambda done: None,
    tell: Callable[[str], None] = lambda text: None,
) -> Written:
    """Predict the inputs as `run_jobs` does, with their values computed on a cluster.

    Args:
        predictor: the network, on a device of this machine.
        jobs: inputs and outputs, from `find_jobs`.
        cluster: where to compute.
        folder: where `atrous-errors.log` is written if it is needed.
        progress: called with the number of finished jobs, parts of one included.
        tell: as for `run_jobs`.

    Raises:
        UserError: the network reads data that are not cut into regions.
    """
    written = run_jobs(ClusterPredictor(predictor, cluster, jobs), jobs, folder, progress, tell)
    for job in jobs:
        path: Any = job.outputs[-1].paths[0]
        if path.exists():
            remove_regions(path)
    return written
