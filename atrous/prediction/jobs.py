"""From inputs to files: one loop for images, volumes, signals, videos and genomes.

A job is one input with its outputs. The loop opens the input, starts the outputs that are missing, runs the network and
puts the files in their places. It knows outputs only by the protocol of `output.py`; which outputs an input has is
decided by one function per kind of data, in `OUTPUTS`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atrous.color import Palette
from atrous.data.composite import CHANGE
from atrous.data.formats import FileFault, is_series, stem
from atrous.data.formats.npy import create_memmap
from atrous.errors import UserError
from atrous.files import remove
from atrous.geometry.plan import StreamPlan
from atrous.prediction import polygons
from atrous.prediction.box_files import box_outputs
from atrous.prediction.class_files import class_outputs
from atrous.prediction.confidence import confidence_outputs
from atrous.prediction.dense import FoundFiles
from atrous.prediction.failures import expected_failure, log_error
from atrous.prediction.features import genome_outputs
from atrous.prediction.inputs import Input, Opened, find_inputs
from atrous.prediction.labels import LabelFile, label_path
from atrous.prediction.objects import object_outputs
from atrous.prediction.output import Companions, Output, SeveralSinks
from atrous.prediction.overlay import OverlayPicture
from atrous.prediction.overlay_video import video_outputs
from atrous.prediction.pairs import find_pairs
from atrous.prediction.point_files import point_outputs
from atrous.prediction.predictor import Predictor
from atrous.prediction.probabilities import SUFFIXES, ProbabilityFile
from atrous.prediction.segmentation import SegmentationFile
from atrous.prediction.thin_edges import ThinEdges
from atrous.prediction.values import NumberFile, value_outputs
from atrous.prediction.worker import Worker
from atrous.stream.stream import plan_text
from atrous.tasks.task import FoundTask
from atrous.tasks.values import ValueTask


@dataclass(frozen=True)
class PredictionJob:
    """One input and its outputs: companions first, the labels last, so that labels that exist mean that all is done."""

    source: Input
    outputs: tuple[Output, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Everything that the job writes."""
        return tuple(path for output in self.outputs for path in output.paths)


@dataclass(frozen=True)
class Written:
    """What became of the jobs. What lies at a URL is named by a text.

    Attributes:
        written: labels (of genomes: all files) that were written or whose missing companions were made.
        skipped: labels (of genomes: all files) of inputs whose outputs all existed.
        failed: inputs that could not be predicted, each with the reason.
        log: the file with the tracebacks of unexpected errors, None if there were none.
        differences: inputs that are unlike the training data, each with what differs.
        uncertainty: inputs whose uncertainty was written, each with its mean, the most uncertain first.
    """

    written: tuple[Path | str, ...]
    skipped: tuple[Path | str, ...]
    failed: tuple[tuple[Path | str, str], ...]
    log: Path | None = None
    differences: tuple[tuple[Path, str], ...] = ()
    uncertainty: tuple[tuple[Path, float], ...] = ()


FOUND: dict[str, Callable[[Input, Path, Any, Companions, Palette], list[Output]]] = {
    "objects": object_outputs,
    "boxes": box_outputs,
    "points": point_outputs,
    "classes": class_outputs,
}
"""For what a task finds (`FoundTask.found`), what lists the outputs of an input: a function of the input, the label
file as other tasks would name it, the task, what else is wanted, and the colors."""


def grid_outputs(predictor: Predictor, item: Input, out: Path, companions: Companions) -> list[Output]:
    """Outputs of an image, a volume or a signal: labels or objects, and the companions that are wanted.

    Raises:
        UserError: `out` is a file, or a DICOM segmentation is wanted of an input that is no DICOM series.
    """
    target = label_path(item, out)
    if isinstance(predictor.task, FoundTask):
        outputs = FOUND[predictor.task.found](item, target, predictor.task, companions, predictor.palette)
        for output in outputs:
            if isinstance(output, FoundFiles):
                output.made_by = lambda: replace(predictor, memory=None).identity()
        return outputs
    if isinstance(predictor.task, ValueTask):
        outputs = value_outputs(item, target, predictor.task, companions, predictor.run.recipe.input.dtype)
        if companions.thin and isinstance(main := outputs[-1], NumberFile):
            outputs.insert(0, ThinEdges(target.with_name(f"{stem(target)}_thin.png"), main))
        return outputs
    labels = LabelFile(target, item.path, predictor.classes, predictor.palette, item.files)
    outputs: list[Output] = []
    if companions.probabilities is not None:
        path = target.with_name(f"{stem(target)}_probabilities{SUFFIXES[companions.probabilities]}")
        outputs.append(ProbabilityFile(path, item.path, predictor.classes))
    if companions.uncertainty or companions.coverage is not None:
        outputs += confidence_outputs(predictor, item.path, target, companions)
    if companions.overlay:
        outputs.append(OverlayPicture(target.with_name(f"{stem(target)}_overlay.png"), labels, predictor.palette))
    if companions.polygons is not None:
        path = target.with_name(f"{stem(target)}{polygons.SUFFIXES[companions.polygons]}")
        write = polygons.label_polygons(labels, predictor.classes)
        outputs.append(polygons.MapFile(path, labels, item.path, write))
    if companions.dicom_seg:
        if not is_series(item.path):
            raise UserError(f"{item.path}: --dicom-seg is for folders of DICOM slices: leave it out")
        path = target.with_name(f"{stem(target)}_seg.dcm")
        outputs.append(SegmentationFile(path, labels, item.path, predictor.classes))
    return [*outputs, labels]


OUTPUTS: dict[str, Callable[[Predictor, Input, Path, Companions], list[Output]]] = {
    "grids": grid_outputs,
    "videos": video_outputs,
    "scenes": video_outputs,
    "genomes": genome_outputs,
}
"""For each kind of data (`Predictor.kind`), the function that lists the outputs of one input.

`verbs.kinds.add_kind` adds an entry with the rest of what a new kind needs.
"""


def find_jobs(
    predictor: Predictor,
    inputs: Sequence[str | Path],
    out: Path,
    companions: Companions | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[PredictionJob]:
    """Find the inputs that files, folders (searched with all their subfolders) and globs name, and list their outputs.

    An output has the name of its input. A format that can hold labels is kept, any other becomes PNG. Files in the
    output folder are not inputs.

    Args:
        predictor: the network.
        inputs: paths and patterns.
        out: folder of the outputs; for genomes also a file.
        companions: what to write beside the labels.
        tell: called with a line about masks that are left out.

    Raises:
        UserError: nothing is found, two outputs would be the same file, or an output would be written over an input.
    """
    model, kind = predictor.run.recipe.model, predictor.kind
    # Features never look like FASTA files, so they may lie among their inputs.
    folder = None if kind == "genomes" else out
    if predictor.run.recipe.task.kind == CHANGE:
        items = find_pairs(inputs, ndim=model.ndim, channels=model.in_channels, out=folder, tell=tell)
    else:
        items = find_inputs(inputs, ndim=model.ndim, channels=model.in_channels, kind=kind, out=folder, tell=tell)
    wanted = companions or Companions()
    jobs = [PredictionJob(item, tuple(OUTPUTS[kind](predictor, item, out, wanted))) for item in items]
    check_outputs(jobs)
    return jobs


def check_outputs(jobs: Sequence[PredictionJob]) -> None:
    """Raise `UserError` if an output would replace an input, lie inside one, hold one, or be another job's output."""
    inputs = {path.resolve() for job in jobs for path in job.source.files}
    folders_of_inputs = {parent for path in inputs for parent in path.parents}
    writers: dict[Path, Path] = {}
    for job in jobs:
        for path in job.paths:
            place = path.resolve()
            if place in inputs or place in folders_of_inputs or any(parent in inputs for parent in place.parents):
                raise UserError(f"{path}: would be written over an input: give another folder with -o")
            if place in writers:
                raise UserError(
                    f"{writers[place]} and {job.source.path} would both write {path}: "
                    "predict them into different folders"
                )
            writers[place] = job.source.path


def run_jobs(
    predictor: Worker,
    jobs: Sequence[PredictionJob],
    folder: Path,
    progress: Callable[[float], None] = lambda done: None,
    tell: Callable[[str], None] = lambda text: None,
) -> Written:
    """Predict the inputs one after the other and write their outputs.

    Outputs that exist stay as they are, and missing companions are made. An input that fails does not stop the others.
    The reason is recorded; the traceback of an unexpected error is appended to `atrous-errors.log`.

    Args:
        predictor: the network, or what stands in its place.
        jobs: inputs and outputs, from `find_jobs`.
        folder: where `atrous-errors.log` is written if it is needed.
        progress: called with the number of finished jobs, parts of one included.
        tell: called with the plan of each streamed size before its work begins, and with what is unlike the training
            data.
    """
    told: set[tuple[int, ...]] = set()
    written: list[Path] = []
    skipped: list[Path] = []
    failed: list[tuple[Path, str]] = []
    differences: list[tuple[Path, str]] = []
    log: Path | None = None
    for number, job in enumerate(jobs):
        missing = [output for output in job.outputs if not exists(output)]
        source = job.source.path

        def plan_part(part: Opened, path: Path = source) -> StreamPlan | None:
            for difference in part.differences:
                differences.append((path, difference))
                tell(f"{path}: {difference}")
            return _told_plan(predictor, part, told, tell)

        def progress_of_job(share: float, finished: int = number) -> None:
            progress(finished + share)

        try:
            if missing:
                _run_job(predictor, job, missing, plan_part, progress_of_job)
                written += _main_paths(job, missing)
            else:
                skipped += _main_paths(job, job.outputs)
        except Exception as error:
            reason = expected_failure(error, job.paths[-1])
            if reason is None:
                log = log_error(folder, source)
                what = f"{type(error).__name__}: {' '.join(str(error).split())}"
                reason = f"{source}: {what} (an unexpected error: its traceback is in {log})"
            failed.append((source, reason))
        progress(number + 1)
    return Written(tuple(written), tuple(skipped), tuple(failed), log, tuple(differences))


def exists(output: Output) -> bool:
    """Return whether an output is there."""
    return any(path.exists() for path in (output.paths[:1] if output.main_last else output.paths))


def _main_paths(job: PredictionJob, outputs: Sequence[Output]) -> list[Path]:
    """The paths that the result names: the labels, which stand for their companions too; of genomes, all `outputs`."""
    labels = job.outputs[-1]
    if labels.values == "labels":
        return list(labels.paths)
    return [path for output in outputs for path in output.paths]


def _run_job(
    predictor: Worker,
    job: PredictionJob,
    missing: Sequence[Output],
    plan_part: Callable[[Opened], StreamPlan | None],
    progress: Callable[[float], None],
) -> None:
    """Run the network on every part of one input, then put the missing outputs in their places."""
    sources_of_drawings = [output.drawn_from for output in missing]
    active = [output for output in job.outputs if output in missing or output in sources_of_drawings]
    done = 0.0
    try:
        for part in predictor.parts(job.source):
            plan = plan_part(part)
            for output in active:
                output.begin(part, plan is not None)

            def progress_of_part(share: float, before: float = done, weight: float = part.share) -> None:
                progress(before + share * weight)

            if not all(output.complete for output in active if output.sink is not None):
                _write_part(predictor, part, plan, active, progress_of_part)
            for output in active:
                output.end()
            done += part.share
        for output in active:
            # Labels that existed before, or that another process has written in the meantime, are not replaced.
            if exists(output):
                output.discard()
            else:
                output.finish()
    except FileFault:  # the input is damaged: what came of it so far is worth nothing
        for output in active:
            output.discard()
        raise
    except BaseException:
        for output in active:
            output.pause()
        raise


def _told_plan(
    predictor: Worker, part: Opened, told: set[tuple[int, ...]], tell: Callable[[str], None]
) -> StreamPlan | None:
    """Return how a part will be streamed, None if it is not; tell it if its shape was not told before."""
    shape = tuple(part.source.shape)
    plan = predictor.plan(shape)
    if plan is not None and shape not in told:
        told.add(shape)
        name = f"{part.name}: " if part.name else ""
        tell(name + plan_text(plan, predictor.dtype, predictor.engine, predictor.device))
    return plan


def _write_part(
    predictor: Worker,
    part: Opened,
    plan: StreamPlan | None,
    outputs: Sequence[Output],
    progress: Callable[[float], None],
) -> None:
    """Run the network on one part of an input and assign its labels and probabilities to the sinks of the outputs."""
    with_sinks = [output for output in outputs if output.sink is not None]
    labels = _joined([output.sink for output in with_sinks if output.values == "labels"])
    probabilities = _joined([output.sink for output in with_sinks if output.values == "probabilities"])
    if plan is None or plan.blocks == 1 or not any(output.in_order for output in with_sinks):
        resume = all(output.resumes for output in with_sinks)
        predictor.write(part.source, labels, probabilities, resume=resume, progress=progress)
        return
    # Rows that are too wide for the memory are computed in blocks, and each block covers the whole first axis. The
    # blocks are gathered on disk and then passed on row after row, as the outputs need them.
    with _scratch(outputs[0].paths[0]) as scratch:
        arrays = [_on_disk(sink, scratch / f"{i}.npy") for i, sink in enumerate((labels, probabilities))]
        predictor.write(part.source, *arrays, progress=progress)
        for sink, array in zip((labels, probabilities), arrays, strict=True):
            if sink is not None and array is not None:
                channels = (slice(None),) * (len(sink.shape) - len(part.source.shape) + 1)
                for row in range(part.source.shape[1]):
                    key = (*channels, slice(row, row + 1))
                    sink[key] = array[key]


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """A hidden folder beside an output; what a killed process left in it is removed first."""
    folder = path.with_name(f".{path.name}.scratch")
    remove(folder)
    folder.mkdir()
    try:
        yield folder
    finally:
        remove(folder)


def _on_disk(sink: Any, path: Path) -> Any:
    """An array on disk of the shape and type of a sink, None for None."""
    if sink is None:
        return None
    return create_memmap(path, tuple(sink.shape), sink.dtype)


def _joined(sinks: Sequence[Any]) -> Any:
    """One sink for several outputs that take the same values, None for no output."""
    if not sinks:
        return None
    return sinks[0] if len(sinks) == 1 else SeveralSinks(sinks)
