"""What is written for one input, by the kind of data: labels, and the companions that are wanted beside them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from atrous.data.formats import is_series, stem
from atrous.data.formats.writing import files_identity
from atrous.data.genomes.fasta import fasta_stem
from atrous.data.genomes.tracks import TRACK_SUFFIXES
from atrous.data.genomes.writers import OUTPUT_SUFFIXES, SIGNAL_SUFFIXES
from atrous.errors import UserError
from atrous.prediction import polygons
from atrous.prediction.features import FeatureFile
from atrous.prediction.frames import FrameLabels
from atrous.prediction.inputs import Input
from atrous.prediction.labels import LabelFile
from atrous.prediction.object_overlay import ObjectOverlay
from atrous.prediction.objects import ObjectFiles
from atrous.prediction.output import Output
from atrous.prediction.overlay import OverlayPicture
from atrous.prediction.overlay_video import OverlayVideo
from atrous.prediction.predictor import Predictor
from atrous.prediction.probabilities import SUFFIXES, ProbabilityFile
from atrous.prediction.segmentation import SegmentationFile
from atrous.tasks.task import ObjectTask

EIGHT_BIT = (".png", ".gif", ".bmp", ".webp")
"""Formats of labels that hold 255 numbers at most; objects in files of these formats are numbered in a TIFF."""


@dataclass(frozen=True)
class Companions:
    """What is written for each input beside its labels.

    Attributes:
        overlay: a picture of the labels over the image; of a video, an mp4.
        probabilities: "zarr" or "tiff" for images, volumes and signals, "bigwig" for genomes; None for none.
        polygons: "gpkg" or "geojson": the labels of maps as polygons; None for none.
        dicom_seg: a DICOM segmentation of each DICOM series.
    """

    overlay: bool = False
    probabilities: str | None = None
    polygons: str | None = None
    dicom_seg: bool = False


def grid_outputs(predictor: Predictor, item: Input, out: Path, companions: Companions) -> list[Output]:
    """Outputs of an image, a volume or a signal: labels, and if wanted an overlay and probabilities.

    Raises:
        UserError: `out` is a file, or a DICOM segmentation is wanted of an input that is no DICOM series.
    """
    target = _in_folder(item, out)
    if isinstance(predictor.task, ObjectTask):
        return object_outputs(item, target, predictor.task, companions)
    labels = LabelFile(target, item.path, predictor.classes, predictor.palette)
    outputs: list[Output] = []
    if companions.probabilities is not None:
        path = target.with_name(f"{stem(target)}_probabilities{SUFFIXES[companions.probabilities]}")
        outputs.append(ProbabilityFile(path, item.path, predictor.classes))
    if companions.overlay:
        outputs.append(OverlayPicture(target.with_name(f"{stem(target)}_overlay.png"), labels, predictor.palette))
    if companions.polygons is not None:
        path = target.with_name(f"{stem(target)}{polygons.SUFFIXES[companions.polygons]}")
        outputs.append(polygons.PolygonFile(path, labels, item.path, predictor.classes))
    if companions.dicom_seg:
        if not is_series(item.path):
            raise UserError(f"{item.path}: --dicom-seg is for folders of DICOM slices: leave it out")
        path = target.with_name(f"{stem(target)}_seg.dcm")
        outputs.append(SegmentationFile(path, labels, item.path, predictor.classes))
    return [*outputs, labels]


def object_outputs(item: Input, target: Path, task: ObjectTask, companions: Companions) -> list[Output]:
    """Outputs of an input in which objects are found: their numbers and their table, and if wanted an overlay.

    Raises:
        UserError: probabilities are asked for.
    """
    if companions.probabilities is not None:
        raise UserError("--probabilities: objects have scores, which stand in their table: leave it out")
    if target.suffix.lower() in EIGHT_BIT:  # they cannot hold the numbers of many objects
        target = target.with_name(f"{stem(target)}.tif")
    objects = ObjectFiles(target, item, task)
    if not companions.overlay:
        return [objects]
    return [ObjectOverlay(target.with_name(f"{stem(target)}_overlay.png"), objects), objects]


def video_outputs(predictor: Predictor, item: Input, out: Path, companions: Companions) -> list[Output]:
    """Outputs of a video: a folder with the labels of each frame, and if wanted an overlay video.

    Raises:
        UserError: `out` is a file.
    """
    target = _in_folder(item, out)
    labels = FrameLabels(target, item.path, predictor.palette)
    if not companions.overlay:
        return [labels]
    return [OverlayVideo(target.with_name(f"{target.name}_overlay.mp4"), labels, item.path, predictor.palette), labels]


def genome_outputs(predictor: Predictor, item: Input, out: Path, companions: Companions) -> list[Output]:
    """Outputs of a FASTA file: its features, and if wanted the probabilities as bigWig.

    `out` is a folder for `X.gff3`, or a file whose suffix says the format: `.gff3`, `.bed` or `.bw`.
    """
    target = out if out.suffix.lower() in OUTPUT_SUFFIXES else out / item.relative
    paths = [target]
    if companions.probabilities == "bigwig" and target.suffix.lower() not in SIGNAL_SUFFIXES:
        paths.append(target.with_name(f"{target.stem}.bw"))
    task = predictor.run.recipe.task
    names = [
        f"{fasta_stem(item.path)}.{name}{end}" for name in predictor.run.recipe.input.tracks for end in TRACK_SUFFIXES
    ]
    tracks = [path for name in names if (path := item.path.with_name(name)).exists()]
    identity = cache(lambda: predictor.identity() + files_identity([item.path, *tracks]))
    options = predictor.classes, task.threshold, tuple(task.shortest), identity
    return [FeatureFile(path, item.path, *options) for path in paths]


OUTPUTS: dict[str, Callable[[Predictor, Input, Path, Companions], list[Output]]] = {
    "grids": grid_outputs,
    "videos": video_outputs,
    "genomes": genome_outputs,
}
"""For each kind of data (`Predictor.kind`), the function that lists the outputs of one input.

`verbs.kinds.add_kind` adds an entry with the rest of what a new kind needs.
"""


def _in_folder(item: Input, out: Path) -> Path:
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file: give a folder with -o")
    return out / item.relative
