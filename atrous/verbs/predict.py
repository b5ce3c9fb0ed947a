"""`atrous predict`: label files with a trained network, or samples of a live signal as they come."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atrous.data.genomes.fasta import fasta_stem
from atrous.data.genomes.writers import OUTPUT_SUFFIXES
from atrous.errors import UserError
from atrous.prediction.confidence import mean_of, sets_of
from atrous.prediction.ensemble import load_ensemble
from atrous.prediction.jobs import PredictionJob, Written, find_jobs, run_jobs
from atrous.prediction.live import live_labels
from atrous.prediction.object_exports import merge_coco, parse_kinds, require_library
from atrous.prediction.output import Companions
from atrous.prediction.polygons import SUFFIXES
from atrous.prediction.predictor import LoadOptions, Predictor, load
from atrous.prediction.shares import Share, compute_share, join_shares, require_labels
from atrous.prediction.variants import VariantScorer, write_effects
from atrous.prediction.zones import LEAST_AREA, FollowOptions
from atrous.recipe.run import Run, open_run
from atrous.tasks.custom import with_codes
from atrous.tasks.task import FoundTask, ObjectTask
from atrous.tasks.temperature import class_task


@dataclass(frozen=True)
class PredictOptions:
    """Options of a prediction.

    Attributes:
        overlay: also write a picture of the labels over each image; of videos, an mp4.
        probabilities: also write the probability of every class: "zarr" or "tiff"; for genomes "bigwig", for a live
            signal "csv".
        tta: test-time augmentation: "none", or "flip" to average over mirror images.
        memory: bytes ("1GB") that a streamed input may take.
        engine: "torch", "openvino", "inductor" or "onnxruntime".
        device: "cpu", "cuda", "cuda:1" or "mps".
        polygons: also write the labels of maps as polygons: "gpkg" or "geojson".
        dicom_seg: also write a DICOM segmentation of each DICOM series, which refers to its slices.
        objects: also write found objects for other programs: "coco", "geojson", "imagej", "dota", "parquet", or several
            ("coco,parquet").
        uncertainty: also write how uncertain the network is at each position, and a picture of it.
        coverage: also write the size of the set of classes at each position that holds the true one in this share of
            the positions.
        ensemble: folders of further runs with the same classes; the mean of all probabilities decides.
        genetic_code: of genomes, NCBI's number of the code by which genes are read; that of the run if None.
        variants: of genomes, a VCF file: what its variants change is written instead of features, as a table.
        part: compute the regions of one job of several: "3/64"; the labels are written by `join`.
        join: write the labels from the regions of all jobs.
        thin: also write edges as lines that are one pixel wide.
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
    uncertainty: bool = False
    coverage: float | None = None
    ensemble: tuple[str | Path, ...] = ()
    genetic_code: int | None = None
    variants: Path | str | None = None
    part: str | None = None
    join: bool = False
    thin: bool = False
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
        run: folder of the run, or the name of a model.
        inputs: files, folders (searched with all their subfolders) and globs.
        out: folder of the outputs; for genomes also a file that ends in `.gff3`, `.bed`, `.tsv` or `.bw`.
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
    share = _checked_share(options)
    run = _checked(run, options, live=False)
    if options.thin and run.recipe.task.kind != "edges":
        raise UserError("--thin is for edges: leave it out")
    predictor = _load(run, options)
    if options.variants is not None:
        begin(1)
        return _variants(predictor, inputs, Path(options.variants), out, tell)
    if share is not None or options.join:
        require_labels(predictor)
    exported = parse_kinds(options.objects) if options.objects else ()
    wanted = options.tracks or options.zone is not None
    tracks = FollowOptions(options.least_area, options.tracks, options.zone) if wanted else None
    companions = Companions(
        options.overlay, options.probabilities, options.polygons, options.dicom_seg, exported, options.uncertainty,
        options.coverage, options.thin, tracks,
    )  # fmt: skip
    if options.coverage is not None:
        sets_of(predictor, options.coverage)  # what is wrong with it is told before any file is read
    jobs: list[PredictionJob] = find_jobs(predictor, inputs, out, companions, tell)
    begin(len(jobs))
    folder = out.parent if predictor.kind == "genomes" and out.suffix.lower() in OUTPUT_SUFFIXES else out
    if share is not None:
        return compute_share(predictor, jobs, share, folder, progress, tell)
    if options.join:
        return join_shares(predictor, jobs, folder, progress)
    written = run_jobs(predictor, jobs, folder, progress, tell)
    if "coco" in exported:
        merge_coco([(job.source, job.outputs) for job in jobs], out, predictor.classes)
    if not options.uncertainty:
        return written
    found = [(job.source.path, mean) for job in jobs for output in job.outputs if (mean := mean_of(output)) is not None]
    return replace(written, uncertainty=tuple(sorted(found, key=lambda pair: -pair[1])))


def _variants(
    predictor: Predictor, inputs: Sequence[str | Path], vcf: Path, out: Path, tell: Callable[[str], None]
) -> Written:
    """Write what the variants of a VCF file change, on the sequences of one FASTA file."""
    jobs = find_jobs(predictor, inputs, out.parent)
    if len(jobs) != 1:
        raise UserError(f"--variants: {len(jobs)} FASTA files: give the one whose sequences the variants are on")
    target = out if out.suffix.lower() == ".tsv" else out / f"{fasta_stem(jobs[0].source.path)}.variants.tsv"
    if target.exists():
        return Written((), (target,), ())
    scorer = VariantScorer(predictor, jobs[0].source.path, vcf)
    count = write_effects(scorer, vcf, target)
    tell(f"{vcf}: {count:,} alternatives")
    return Written((target,), (), ())


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
        options: of them, only `probabilities` ("csv"), `memory`, `engine`, `device` and `ensemble` apply.
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
    _check_confidence(opened, options, live)
    _check_genomes(opened, options)
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


def _check_confidence(run: Run, options: PredictOptions, live: bool) -> None:
    """Refuse uncertainty and sets of classes where there are none.

    Raises:
        UserError: the run finds no classes, labels videos, or labels a live signal.
    """
    wanted = {"--uncertainty": options.uncertainty, "--coverage": options.coverage is not None}
    for option, on in wanted.items():
        if on and (live or run.recipe.data.kind == "videos" or class_task(run.task()) is None):
            raise UserError(f"{option} is for classes in files of images, volumes, signals and genomes: leave it out")


def _check_genomes(run: Run, options: PredictOptions) -> None:
    """Check the options that are for genomes alone.

    Raises:
        UserError: the run finds no genes that could be read by a code, there is no such code, or variants are given
            where there are no genomes.
    """
    if options.genetic_code is not None:
        with_codes(run.task(), [options.genetic_code])
    if options.variants is not None and (run.recipe.data.kind != "genomes" or options.probabilities is not None):
        raise UserError("--variants is for genomes, and writes its table alone: leave it or --probabilities out")


def _checked_share(options: PredictOptions) -> Share | None:
    """Return the share of a job; None where there is none. Refuse what does not go with shares, which are labels alone.

    Raises:
        UserError: something else is wanted, or the share is not written as 3/64.
    """
    if options.part is None and not options.join:
        return None
    if options.part is not None and options.join:
        raise UserError("--part computes a share, --join puts all together afterwards: give one of them")
    names = (
        "overlay", "probabilities", "polygons", "dicom_seg", "objects", "uncertainty", "coverage", "ensemble",
        "genetic_code", "variants", "thin", "tracks", "zone",
    )  # fmt: skip
    other = [f"--{name.replace('_', '-')}" for name in names if getattr(options, name)]
    other += ["--tta"] if options.tta != "none" else []
    if other:
        raise UserError(f"{other[0]}: several jobs write labels alone: leave it out")
    return None if options.part is None else Share.read(options.part)


def _check_videos(options: PredictOptions, *, is_video: bool) -> None:
    """Refuse options of videos for other data, and options of other data for videos."""
    followed = options.tracks or options.zone is not None
    if not followed and options.least_area != LEAST_AREA:
        raise UserError("--least-area is for what --tracks and --zone follow: give one of them, or leave it out")
    if not is_video and followed:
        raise UserError("--tracks and --zone are for videos: leave them out")
    if is_video and (options.probabilities is not None or options.tta != "none"):
        raise UserError("--probabilities and --tta are for images, volumes and signals, not for videos: leave them out")


def _load(run: Run, options: PredictOptions) -> Predictor:
    loading: LoadOptions = {"device": options.device, "memory": options.memory, "engine": options.engine}
    flip, code = options.tta == "flip", options.genetic_code
    if options.ensemble:
        predictor = load_ensemble([run, *options.ensemble], flip=flip, **loading)
    else:
        predictor = load(run, flip=flip, **loading)
    return predictor if code is None else replace(predictor, task=with_codes(predictor.task, [code]))
