"""What `atrous predict` is asked for, and whether it goes with the run."""

import math
from dataclasses import dataclass
from pathlib import Path

from atrous.errors import UserError
from atrous.prediction.first_frame import SECONDS, require_videos
from atrous.prediction.object_exports import parse_kinds, require_library
from atrous.prediction.polygons import SUFFIXES
from atrous.prediction.shares import Share
from atrous.prediction.zones import LEAST_AREA
from atrous.recipe.run import Run, open_run
from atrous.stream.engines import check_engine
from atrous.tasks.custom import with_codes
from atrous.tasks.task import FoundTask
from atrous.tasks.temperature import class_task

IDLE = 30.0
"""Seconds without a frame after which live frames have ended, if nobody says how many."""


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
        first_frame: of one video, the file of the mask of its first frame, which the network learns before it goes on.
        first_frame_seconds: how long.
        dask: compute on a Dask cluster: the address of its scheduler, or "local:4" for 4 processes on this machine.
        live: label the frames of a video as they come (`atrous.verbs.live_video`).
        masks: of these, also write the labels of each frame.
        idle: seconds for which a folder may get no new frame, or an address may be silent, before it has ended.
        frame_rate: frames per second of a folder, or of a stream without times; 25, or what the stream says, if None.
        float32: compute in float32, also where the training used bfloat16.
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
    first_frame: Path | None = None
    first_frame_seconds: float = SECONDS
    dask: str | None = None
    live: bool = False
    masks: bool = False
    idle: float = IDLE
    frame_rate: float | None = None
    float32: bool = False


DEFAULTS = PredictOptions()


def checked_run(run: Run | Path | str, options: PredictOptions, live: bool) -> Run:
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
    check_engine(options.engine)
    exported = parse_kinds(options.objects) if options.objects else ()
    opened = run if isinstance(run, Run) else open_run(run)
    _check_confidence(opened, options, live)
    _check_genomes(opened, options)
    if options.thin and opened.recipe.task.kind != "edges":
        raise UserError("--thin is for edges: leave it out")
    _check_cluster(opened, options, live)
    task = opened.task() if live or exported else None
    if exported and (live or not isinstance(task, FoundTask) or task.found == "classes"):
        raise UserError("--objects is for found objects, boxes and points: leave it out")
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
    _check_first_frame(opened, options)
    _check_frames(options)
    _check_videos(options, is_video=kind in ("videos", "scenes") and not live)
    if kind != "genomes" and probabilities == "bigwig":
        raise UserError("--probabilities bigwig is for genomes: choose zarr or tiff")
    return opened


def _check_confidence(run: Run, options: PredictOptions, live: bool) -> None:
    """Refuse uncertainty and sets of classes where there are none.

    Raises:
        UserError: the run finds no classes, labels videos or scenes, or labels a live signal.
    """
    files = run.recipe.data.kind not in ("videos", "scenes") and not live
    wanted = {"--uncertainty": options.uncertainty, "--coverage": options.coverage is not None}
    for option, on in wanted.items():
        if on and not (files and class_task(run.task()) is not None):
            raise UserError(f"{option} is for classes in files of images, volumes, signals and genomes: leave it out")


def _check_cluster(run: Run, options: PredictOptions, live: bool) -> None:
    """Refuse a cluster for what is not cut into regions.

    Raises:
        UserError: the input is live, a video or a genome, or is averaged over its mirror images.
    """
    if options.dask is not None and (live or run.recipe.data.kind != "grids"):
        raise UserError("--dask is for files of images, volumes and signals: leave it out")
    if options.dask is not None and options.tta != "none":
        raise UserError("--tta flip takes inputs whole, and --dask cuts them: leave one of them out")


def _check_genomes(run: Run, options: PredictOptions) -> None:
    """Check the options that are for genomes alone.

    Raises:
        UserError: the run finds no genes that could be read by a code, there is no such code, or variants are given
            where there are no genomes.
    """
    if options.genetic_code is not None:
        with_codes(run.task(), [options.genetic_code])
    if options.variants is None:
        return
    others = {
        "--probabilities": options.probabilities is not None, "--uncertainty": options.uncertainty,
        "--coverage": options.coverage is not None, "--ensemble": bool(options.ensemble),
    }  # fmt: skip
    if run.recipe.data.kind != "genomes":
        raise UserError("--variants is for genomes: leave it out")
    for other in (other for other, on in others.items() if on):
        raise UserError(f"--variants writes its table alone, of one run: leave it or {other} out")


def checked_share(options: PredictOptions) -> Share | None:
    """Return the share of a job; None where there is none. Refuse what does not go with shares, which are labels alone.

    Raises:
        UserError: something else is wanted, or the share is not written as 3/64.
    """
    if options.part is None and not options.join:
        return None
    if options.part is not None and options.join:
        raise UserError("--part computes a share, --join puts all together afterwards: give one of them")
    further = "--ensemble" if options.ensemble else "--dask" if options.dask else ""
    if other := other_outputs(options, further):
        raise UserError(f"{other}: several jobs write labels alone: leave it out")
    return None if options.part is None else Share.read(options.part)


def other_outputs(options: PredictOptions, further: str) -> str:
    """Return the first option that does not go where labels alone are written, `further` last; "" if there is none."""
    names = (
        "overlay", "probabilities", "polygons", "dicom_seg", "objects", "uncertainty", "coverage", "genetic_code",
        "variants", "thin", "tracks", "zone", "first_frame",
    )  # fmt: skip
    other = [f"--{name.replace('_', '-')}" for name in names if getattr(options, name)]
    other += ["--tta"] if options.tta != "none" else []
    return next(iter(other), further)


def _check_videos(options: PredictOptions, *, is_video: bool) -> None:
    """Refuse options of videos for other data, and options of other data for videos."""
    followed = options.tracks or options.zone is not None
    if not followed and not options.live and options.least_area != LEAST_AREA:
        raise UserError("--least-area is for what --tracks and --zone follow: give one of them, or leave it out")
    if not is_video and followed:
        raise UserError("--tracks and --zone are for videos: leave them out")
    if is_video and (options.probabilities is not None or options.tta != "none"):
        raise UserError("--probabilities and --tta are for images, volumes and signals, not for videos: leave them out")


def _check_first_frame(run: Run, options: PredictOptions) -> None:
    """Check what is given with a first mask.

    Raises:
        UserError: the run labels no videos, there is no such mask, or an option does not go with it.
    """
    mask, seconds = options.first_frame, options.first_frame_seconds
    if mask is None:
        if seconds != SECONDS:
            raise UserError("--first-frame-seconds says how long --first-frame is learned: give both, or leave it out")
        return
    require_videos(run)
    if not Path(mask).is_file():
        raise UserError(f"--first-frame {mask}: no such file: give the mask of the first frame of the video")
    if not 0 < seconds < math.inf:
        raise UserError(f"--first-frame-seconds {seconds:g}: give a time in seconds, such as 30")
    if options.ensemble:
        raise UserError("--ensemble: one network learns the first frame: leave it or --first-frame out")


def _check_frames(options: PredictOptions) -> None:
    """Check the options of frames that come, and refuse them for files.

    Raises:
        UserError: one is given without `live`, has no such value, or another option does not go with `live`.
    """
    if not options.live:
        rate = options.frame_rate is not None
        given = {"--masks": options.masks, "--idle": options.idle != IDLE, "--frame-rate": rate}
        for option in (option for option, on in given.items() if on):
            raise UserError(f"{option} is for frames that come: give --live too, or leave it out")
        return
    for option, value in {"--idle": options.idle, "--frame-rate": options.frame_rate}.items():
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"{option} {value:g}: give a number greater than 0")
    mask, part = options.first_frame is not None, options.part is not None
    other = {"--first-frame": mask, "--part": part, "--join": options.join}
    for option in (option for option, on in other.items() if on):
        raise UserError(f"{option} is for files, not for frames that come: leave it or --live out")
