"""`atrous predict`: label files with a trained network, or samples of a live signal as they come."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrous.data.genomes.writers import OUTPUT_SUFFIXES
from atrous.errors import UserError
from atrous.prediction.jobs import PredictionJob, Written, find_jobs, run_jobs
from atrous.prediction.live import live_labels
from atrous.prediction.object_exports import merge_coco, parse_kinds, require_library
from atrous.prediction.output import Companions
from atrous.prediction.polygons import SUFFIXES
from atrous.prediction.predictor import Predictor, load
from atrous.prediction.zones import LEAST_AREA, FollowOptions
from atrous.recipe.run import Run, open_run
from atrous.tasks.task import FoundTask, ObjectTask


@dataclass(frozen=True)
class PredictOptions:
    """Options of a prediction.

    Attributes:
        overlay: also write a picture of the labels over each image; of videos, an mp4.
        probabilities: also write the probability of every class: "zarr" or "tiff"; for genomes "bigwig", for a live
            signal "csv".
        tta: test-time augmentation: "none", or "flip" to average over mirror images.
        memory: bytes ("1GB") that a streamed input may take.
        engine: "torch", "openvino" or "inductor".
        device: "cpu", "cuda", "cuda:1" or "mps".
        polygons: also write the labels of maps as polygons: "gpkg" or "geojson".
        dicom_seg: also write a DICOM segmentation of each DICOM series, which refers to its slices.
        objects: also write found objects for other programs: "coco", "geojson", "imagej", "dota", "parquet", or several
            ("coco,parquet").
        tracks: also write a table of what moves in each frame of a video, with numbers that stay the same.
        zone: also write how many of these enter and leave the polygons of this GeoJSON file, each minute.
        least_area: pixels of the smallest thing that is followed.
    """

    overlay: bool = False
    probabilities: str | None = None
    tta: str = "none"
    memory: str | float | None = None
    engine: str = "torch"
    device: str = "cpu"
    polygons: str | None = None
    dicom_seg: bool = False
    objects: str | None = None
    tracks: bool = False
    zone: Path | None = None
    least_area: int = LEAST_AREA


DEFAULTS = PredictOptions()


def predict(
    run: Run | Path | str,
    inputs: Sequence[str | Path],
    out: Path | str,
    options: PredictOptions = DEFAULTS,
    *,
    begin: Callable[[int], None] = lambda count: None,
    progress: Callable[[float], None] = lambda done: None,
    tell: Callable[[str], None] = lambda text: None,
) -> Written:
    """Label files, folders and globs, of any size, with a trained network.

    Outputs that exist are left as they are, and an input that fails does not stop the others.

    Args:
        run: folder of the run.
        inputs: files, folders (searched with all their subfolders) and globs.
        out: folder of the outputs; for genomes also a file that ends in `.gff3`, `.bed` or `.bw`.
        options: what to write, and how to compute it.
        begin: called with the number of inputs, before the first one is predicted.
        progress: called with the number of finished inputs, parts of one included.
        tell: called with the plan of each size that is streamed, and with what of folders is left out.

    Returns:
        What was written, what existed already, and what failed and why.

    Raises:
        UserError: an option does not fit the data, there is no such run, or nothing is found to predict.
    """
    out = Path(out)
    run = _checked(run, options, live=False)
    predictor = _load(run, options)
    exported = parse_kinds(options.objects) if options.objects else ()
    wanted = options.tracks or options.zone is not None
    tracks = FollowOptions(options.least_area, options.tracks, options.zone) if wanted else None
    companions = Companions(
        options.overlay, options.probabilities, options.polygons, options.dicom_seg, exported, tracks=tracks
    )
    jobs: list[PredictionJob] = find_jobs(predictor, inputs, out, companions, tell)
    begin(len(jobs))
    folder = out.parent if predictor.kind == "genomes" and out.suffix.lower() in OUTPUT_SUFFIXES else out
    written = run_jobs(predictor, jobs, folder, progress, tell)
    if "coco" in exported:
        merge_coco([(job.source, job.outputs) for job in jobs], out, predictor.classes)
    return written


def predict_live(
    run: Run | Path | str,
    options: PredictOptions = DEFAULTS,
    *,
    tell: Callable[[str], None] = lambda text: None,
    stdin: Any = None,
    stdout: Any = None,
) -> None:
    """Label the samples on standard input, and write each label to standard output as soon as it is final.

    Ends when the input ends, or when nobody reads the output any more.

    Args:
        run: folder of the run.
        options: of them, only `probabilities` ("csv"), `memory`, `engine` and `device` apply.
        tell: called with the latency.
        stdin: bytes with `read1`; those of the process if None.
        stdout: text; that of the process if None.

    Raises:
        UserError: an option does not apply, the network cannot label a live signal, or a line is not a sample.
    """
    predictor = _load(_checked(run, options, live=True), options)
    source, target = stdin or sys.stdin.buffer, stdout or sys.stdout

    def write(text: str) -> None:
        target.write(text)
        target.flush()

    try:
        live_labels(predictor, source, write, probabilities=options.probabilities is not None, tell=tell)
    except BrokenPipeError:
        # The reader has gone. What Python flushes at exit must not raise again, so it is sent to the null device.
        os.dup2(os.open(os.devnull, os.O_WRONLY), target.fileno())


def _checked(run: Run | Path | str, options: PredictOptions, live: bool) -> Run:
    """Check the options before any weights are loaded or any input is opened, and return the run.

    Raises:
        UserError: an option has no such value, or does not apply to the run's kind of data.
    """
    if options.tta not in ("none", "flip"):
        raise UserError(f"--tta {options.tta}: choose none or flip")
    values = ("csv",) if live else ("zarr", "tiff", "bigwig")
    if options.probabilities not in (None, *values):
        raise UserError(f"--probabilities {options.probabilities}: choose {' or '.join(values)}")
    if options.polygons not in (None, *SUFFIXES):
        raise UserError(f"--polygons {options.polygons}: choose {' or '.join(SUFFIXES)}")
    exported = parse_kinds(options.objects) if options.objects else ()
    opened = run if isinstance(run, Run) else open_run(run)
    task = opened.task() if live or exported else None
    if exported and (live or not isinstance(task, ObjectTask)):
        raise UserError("--objects is for found objects (task instances or detection): leave it out")
    if "coco" in exported and opened.recipe.model.ndim != 2:
        raise UserError("--objects coco is for images: leave it out")
    for kind in exported:
        require_library(kind)
    if options.polygons is not None and (live or opened.recipe.data.kind != "grids" or opened.recipe.model.ndim != 2):
        raise UserError("--polygons is for maps: leave it out")
    if live and isinstance(task, FoundTask):
        raise UserError("objects and points are found in whole recordings, not in a live signal: give files")
    kind, probabilities, flip = opened.recipe.data.kind, options.probabilities, options.tta != "none"
    if kind == "genomes" and (live or options.overlay or flip or probabilities not in (None, "bigwig")):
        raise UserError(
            "for genomes only the features are written, and with --probabilities bigwig the signals; of a "
            "regression only the signals"
        )
    if options.dicom_seg and (live or kind != "grids" or opened.recipe.model.ndim != 3):
        raise UserError("--dicom-seg is for folders of DICOM slices: leave it out")
    _check_videos(options, is_video=kind in ("videos", "scenes") and not live)
    if kind != "genomes" and probabilities == "bigwig":
        raise UserError("--probabilities bigwig is for genomes: choose zarr or tiff")
    return opened


def _check_videos(options: PredictOptions, *, is_video: bool) -> None:
    """Refuse options of videos for other data, and options of other data for videos."""
    if not is_video and (options.tracks or options.zone is not None):
        raise UserError("--tracks and --zone are for videos: leave them out")
    if is_video and (options.probabilities is not None or options.tta != "none"):
        raise UserError("--probabilities and --tta are for images, volumes and signals, not for videos: leave them out")


def _load(run: Run, options: PredictOptions) -> Predictor:
    return load(run, device=options.device, flip=options.tta == "flip", memory=options.memory, engine=options.engine)
