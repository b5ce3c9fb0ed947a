"""One prediction shared by many jobs: each computes some regions of the labels, and one more joins them.

The labels of an input are cut into regions by the network and the size of the input alone, so that all jobs cut alike.
Job 3 of 64 computes every 64th region from the third on. Each region reads the input that it depends on and no more,
and its labels are those of the whole input.

A region is a file of its own in a hidden folder beside the labels. It appears there when it lies on the disk whole. So
no two jobs write into one file, a job that is killed leaves nothing half, and a region that is there is not computed
again, whatever the number of jobs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.npy import create_memmap
from atrous.data.formats.writing import files_identity
from atrous.errors import UserError
from atrous.files import remove, replacing
from atrous.prediction.failures import expected_failure, log_error
from atrous.prediction.inputs import Opened
from atrous.prediction.jobs import PredictionJob, Written
from atrous.prediction.labels import LabelFile
from atrous.prediction.predictor import WHOLE, Predictor
from atrous.stream.options import Region
from atrous.stream.prepare import Prepared, prepare
from atrous.stream.stream import stream
from atrous.tasks.task import FoundTask
from atrous.tasks.values import ValueTask

EXCESS = 0.25
"""The work on halos that regions may add to that of the whole, in parts of this."""
LEAST = {1: 1 << 20, 2: 1024, 3: 128}
"""The shortest side of a region, by the number of axes; the last regions of an axis are shorter."""


@dataclass(frozen=True)
class Share:
    """Job `number` of `count`; the first is 1.

    >>> Share.read("3/64")
    Share(number=3, count=64)
    """

    number: int
    count: int

    @classmethod
    def read(cls, text: str) -> "Share":
        """Read a share that is written as `3/64`.

        Raises:
            UserError: it is not written so.
        """
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise UserError(f"--part {text}: write the number of the job and how many there are, such as 3/64")
        return cls(int(number), int(count))

    def of(self, regions: Sequence[Region]) -> list[int]:
        """Return the numbers of the regions that this job computes."""
        return list(range(self.number - 1, len(regions), self.count))


@dataclass(frozen=True)
class SharedLabels:
    """The labels of one input that several jobs compute.

    Attributes:
        opened: the input.
        regions: of its labels, on the grid of the network.
        folder: where the regions lie that are finished.
        ready: the network for this input; None where the input goes through the network whole.
    """

    opened: Opened
    regions: list[Region]
    folder: Path
    ready: Prepared | None

    def path(self, number: int) -> Path:
        """Return the file of a region."""
        return self.folder / f"{number:06d}.npy"

    def missing(self) -> list[int]:
        """Return the numbers of the regions that are not finished."""
        return [number for number in range(len(self.regions)) if not self.path(number).exists()]


def require_labels(predictor: Predictor) -> None:
    """Raise `UserError` unless the network labels images, volumes or signals: other answers are not shared."""
    if predictor.kind != "grids" or isinstance(predictor.task, FoundTask | ValueTask):
        raise UserError("--part and --join are for labels of images, volumes and signals: leave them out")


def region_side(halo: int, ndim: int) -> int:
    """Return the side of regions whose halo, positions on both sides together, adds at most `EXCESS` to the work.

    The work of a region of side `b` is about `((b + halo) / b) ** ndim` times its part of the whole.

    >>> region_side(100, 2), region_side(1000, 2)
    (1024, 8704)
    """
    side = halo / ((1 + EXCESS) ** (1 / ndim) - 1)
    return max(LEAST[ndim], math.ceil(side / 256) * 256)


def cut(ready: Prepared) -> list[Region]:
    """Return the regions of the output of a network, in row-major order.

    Raises:
        UserError: an operator of the network needs the whole input, so that every region would go through all of it.
    """
    graph = ready.graph
    if not ready.axes:
        raise ready.refused[min(ready.refused)]
    barriers = [op for axis in ready.axes.values() for op in axis.barriers]
    if barriers:
        raise UserError(
            f"--part: {barriers[0].module or 'the network'} ({barriers[0].kind}) needs the whole input, so that every "
            "region would go through all of it: predict without --part"
        )
    sizes = graph.ops[graph.output].shape[-graph.ndim :]
    spans = []
    for g, size in enumerate(sizes):
        side = region_side(sum(ready.fields[g].halo), graph.ndim) if g in ready.axes else size
        spans.append([slice(start, min(start + side, size)) for start in range(0, size, side)])
    return list(product(*spans))


def shared(predictor: Predictor, job: PredictionJob) -> SharedLabels:
    """Open an input whose labels are shared.

    Raises:
        UserError: it cannot be read, does not fit the network, or cannot be cut into regions.
    """
    opened = predictor.open(job.source)
    shape, path = tuple(int(n) for n in opened.source.shape), job.outputs[-1].paths[0]
    ready = None if math.prod(shape[1:]) <= WHOLE else prepare(predictor.inner, shape)
    regions: list[Region] = [tuple(slice(0, n) for n in shape[1:])] if ready is None else cut(ready)
    facts = (replace(predictor, memory=None).identity(), files_identity(job.source.files), shape, len(regions))
    name = f".{path.name}.regions-{sha256(repr(facts).encode()).hexdigest()[:16]}"
    return SharedLabels(opened, regions, path.with_name(name), ready)


def compute_share(
    predictor: Predictor,
    jobs: Sequence[PredictionJob],
    share: Share,
    folder: Path,
    progress: Callable[[float], None] = lambda done: None,
    tell: Callable[[str], None] = lambda text: None,
) -> Written:
    """Compute a job's regions of every input; those that are there already are left as they are.

    Args:
        predictor: the network.
        jobs: inputs and outputs, from `find_jobs`; labels alone.
        share: which regions.
        folder: where `atrous-errors.log` is written if it is needed.
        progress: called with the number of finished inputs, parts of one included.
        tell: called with how each input is cut.
    """

    def compute(number: int, job: PredictionJob) -> Path | None:
        labels = shared(predictor, job)
        mine, missing = share.of(labels.regions), set(labels.missing())
        tell(
            f"{job.source.path}: {len(labels.regions)} regions; job {share.number} of {share.count} has {len(mine)}, "
            f"{len(missing.intersection(mine))} of them to be computed"
        )
        labels.folder.mkdir(parents=True, exist_ok=True)
        for done, region in enumerate(mine):
            if not labels.path(region).exists():
                _compute_region(predictor, labels, region)
            progress(number + (done + 1) / len(mine))
        return labels.folder if missing.intersection(mine) else None

    return _for_each(jobs, folder, compute, progress)


def join_shares(
    predictor: Predictor,
    jobs: Sequence[PredictionJob],
    folder: Path,
    progress: Callable[[float], None] = lambda done: None,
) -> Written:
    """Write the labels of every input from its regions, which must all be there, and remove these.

    Args:
        predictor: the network; nothing is computed.
        jobs: as for `compute_share`.
        folder: where `atrous-errors.log` is written if it is needed.
        progress: called with the number of finished inputs.
    """

    def join(number: int, job: PredictionJob) -> Path | None:
        labels, output = shared(predictor, job), job.outputs[-1]
        assert isinstance(output, LabelFile)
        if missing := labels.missing():
            raise UserError(
                f"{job.source.path}: {len(missing)} of {len(labels.regions)} regions are missing, the first is number "
                f"{missing[0] + 1}: run the jobs with --part that have not finished, then --join again"
            )
        try:
            output.begin(labels.opened, labels.ready is not None)
            for region, place in enumerate(labels.regions):
                output.sink[place] = np.load(labels.path(region), mmap_mode="r", allow_pickle=False)
            output.finish()
        except BaseException:
            output.pause()
            raise
        path = output.paths[0]
        for left in path.parent.glob(f".{_escaped(path.name)}.regions-*"):
            remove(left)
        return path

    return _for_each(jobs, folder, join, progress)


def _compute_region(predictor: Predictor, labels: SharedLabels, number: int) -> None:
    """Write the file of one region."""
    region, source = labels.regions[number], labels.opened.source
    with replacing(labels.path(number)) as beside:
        out: Any = create_memmap(beside, tuple(part.stop - part.start for part in region), np.uint8)
        if labels.ready is None:
            predictor.write(source, out)
        else:
            stream(
                labels.ready,
                predictor.standardized(source),
                out,
                region=region,
                memory=predictor.memory,
                dtype=predictor.dtype,
                engine=predictor.engine,
                post=predictor.task.decode,
            )
        out.flush()


def _for_each(
    jobs: Sequence[PredictionJob],
    folder: Path,
    work: Callable[[int, PredictionJob], Path | None],
    progress: Callable[[float], None],
) -> Written:
    """Do the work on each input whose labels are not there; an input that fails does not stop the others.

    `work` returns what it has written, None if nothing was left to do.
    """
    written: list[Path] = []
    skipped: list[Path] = []
    failed: list[tuple[Path, str]] = []
    log: Path | None = None
    for number, job in enumerate(jobs):
        path, source = job.outputs[-1].paths[0], job.source.path
        try:
            done = None if path.exists() else work(number, job)
            (skipped if done is None else written).append(done or path)
        except Exception as error:
            reason = expected_failure(error, path)
            if reason is None:
                log = log_error(folder, source)
                what = f"{type(error).__name__}: {' '.join(str(error).split())}"
                reason = f"{source}: {what} (an unexpected error: its traceback is in {log})"
            failed.append((source, reason))
        progress(number + 1)
    return Written(tuple(written), tuple(skipped), tuple(failed), log)


def _escaped(name: str) -> str:
    """A name in which no letter has a meaning of its own in a pattern of `glob`."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
