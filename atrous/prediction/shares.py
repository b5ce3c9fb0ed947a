"""One prediction shared by many jobs: each computes some regions of the labels, and one more joins them.

The labels of an input are cut into regions (`regions.py`). Job 3 of 64 computes every 64th region from the third on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from atrous.data.views import look_for_gaps
from atrous.errors import UserError
from atrous.prediction.failures import expected_failure, log_error
from atrous.prediction.intervals import with_intervals
from atrous.prediction.jobs import PredictionJob, Written
from atrous.prediction.labels import LabelFile
from atrous.prediction.predictor import Predictor
from atrous.prediction.regions import Regions, compute_region, open_regions, remove_regions
from atrous.stream.prepare import Prepared
from atrous.tasks.custom import least_lengths
from atrous.tasks.task import FoundTask
from atrous.tasks.values import ValueTask


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

    def of(self, regions: int) -> list[int]:
        """Return the numbers of the regions that this job computes, of so many.

        >>> Share(3, 4).of(10)
        [2, 6]
        """
        return list(range(self.number - 1, regions, self.count))


def require_labels(predictor: Predictor) -> None:
    """Raise `UserError` unless the network labels images, volumes or signals: other answers are not shared."""
    if predictor.kind != "grids" or isinstance(predictor.task, FoundTask | ValueTask):
        raise UserError("--part and --join are for labels of images, volumes and signals: leave them out")


def shared(predictor: Predictor, job: PredictionJob) -> Regions:
    """Open an input whose labels are shared.

    Raises:
        UserError: it cannot be read, does not fit the network, or cannot be cut into regions: an operator of the
            network needs the whole input, so that every region would go through all of it.
    """
    opened, path = predictor.open(job.source), job.outputs[-1].paths[0]
    whole = replace(predictor, memory=None).whole(tuple(int(n) for n in opened.source.shape))
    values = "probabilities" if least_lengths(predictor.task) and not whole else "labels"
    regions = open_regions(predictor, job.source, opened, path, values)
    if regions.ready is not None:
        require_no_barriers(regions.ready)
    return regions


def require_no_barriers(ready: Prepared) -> None:
    """Raise `UserError` where an operator needs the whole input, so that every region would go through all of it."""
    barriers = [op for axis in ready.axes.values() for op in axis.barriers]
    if barriers:
        raise UserError(
            f"--part: {barriers[0].module or 'the network'} ({barriers[0].kind}) needs the whole input, so that every "
            "region would go through all of it: predict without --part, or with --dask"
        )


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
        mine, missing = share.of(len(labels)), set(labels.missing())
        tell(
            f"{job.source.path}: {len(labels)} regions; job {share.number} of {share.count} has {len(mine)}, "
            f"{len(missing.intersection(mine))} of them to be computed"
        )
        labels.folder.mkdir(parents=True, exist_ok=True)
        for done, region in enumerate(mine):
            if not labels.path(region).exists():
                compute_region(predictor, labels, region)
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
                f"{job.source.path}: {len(missing)} of {len(labels)} regions are missing, the first is number "
                f"{missing[0] + 1}: run the jobs with --part that have not finished, then --join again"
            )
        try:
            look_for_gaps(labels.opened.valid)  # other jobs have read the input
            output.begin(labels.opened, labels.ready is not None)
            many = labels.values == "probabilities"  # the intervals are found in those of all regions
            sink = with_intervals(predictor.task, output.sink)[1] if many else output.sink
            for region in range(len(labels)):
                place = labels.region(region)
                sink[(slice(None), *place) if many else place] = labels.read(region)
            output.finish()
        except BaseException:
            output.pause()
            raise
        remove_regions(output.paths[0])
        return output.paths[0]

    return _for_each(jobs, folder, join, progress)


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
