"""How training samples vary, planned from the number of axes and what the samples show."""

from collections.abc import Sequence
from typing import Any

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.recipe.aspect import UNEQUAL
from atrous.recipe.points import plan_point_augment

ANISOTROPIC = 2.0
"""An axis so many times as coarse as another is no axis to turn across."""


def plan_augment(
    dataset: Dataset, fingerprint: Fingerprint, crop: Sequence[int], spacing: Sequence[float], reasons: dict[str, str]
) -> dict[str, object]:
    """Return the section `augment` of a recipe for images, volumes or recordings.

    Args:
        dataset: the data set.
        fingerprint: what is known of it.
        crop: size of the crops.
        spacing: distance of positions on the grid that the network sees, per axis.
        reasons: takes the reasons.
    """
    ndim, size = fingerprint.ndim, [float(axis) for axis in fingerprint.sizes.median]
    augment = _plan_general(dataset, size, crop, spacing, reasons)
    of_body = bool(fingerprint.orientation)  # scans know where the head is, images from a microscope do not
    if ndim > 1 and fingerprint.object_sizes and not fingerprint.color and not of_body:
        augment |= _plan_cells(augment, spacing, reasons)
    elif not fingerprint.upright:
        augment |= _plan_from_above(ndim, reasons, boxes=bool(fingerprint.box_sides))
    if dataset.target.kind == "points":
        augment |= plan_point_augment(dataset, fingerprint, ndim, reasons)
    return augment


def _plan_general(
    dataset: Dataset, size: Sequence[float], crop: Sequence[int], spacing: Sequence[float], reasons: dict[str, str]
) -> dict[str, Any]:
    if len(size) == 1:
        reasons["augment.flip"] = "time does not run backward"
        return {"flip": [False], "scale": (0.8, 1.25), "rotate": 0.0, "noise": 0.05}
    if len(size) == 3:
        return _plan_turns(dataset, spacing, reasons)
    reasons["augment.flip"] = (
        "left and right are alike in most pictures, up and down are not: set both for cells or maps"
    )
    # Zoomed out further, a crop would reach over the image's edge and spend its time on nothing.
    least = min(1.0, max(0.5, max(c / s for c, s in zip(crop, size, strict=True)) - 0.1))
    reasons["augment.scale"] = "zoomed out as far as an image still fills the crop, within a tenth; at most a half"
    return {"flip": [axis == len(size) - 1 for axis in range(len(size))], "scale": (round(least, 2), 2.0)}


def _plan_from_above(ndim: int, reasons: dict[str, str], *, boxes: bool) -> dict[str, object]:
    reasons["augment.flip"] = (
        "objects look the same upside down, or are seen from above: mirrored along both axes"
        if boxes
        else "seen from above no side is up: mirrored along both axes of the picture"
    )
    return {"flip": [True] * ndim if ndim == 2 else [False, True, True]}


def _plan_cells(augment: dict[str, Any], spacing: Sequence[float], reasons: dict[str, str]) -> dict[str, object]:
    reasons["augment.rotate"] = "objects in gray images are mostly cells, which lie in any direction"
    reasons.pop("augment.flip", None)
    if len(spacing) == 3:  # along its depth a microscope resolves less: the first axis, if no other is coarser
        return {"flip": [True] * 3, "rotate": 180.0, "about": augment["about"][:1]}
    reasons["augment.scale"] = "objects have about the size of the training data's"
    cells: dict[str, object] = {"flip": [True, True], "rotate": 180.0, "scale": (0.7, 1.4)}
    if max(spacing) >= UNEQUAL * min(spacing):
        reasons["augment.rotate"] = "pixels are no squares: objects that are turned would be stretched"
        cells["rotate"] = 0.0
    return cells


def _plan_turns(dataset: Dataset, spacing: Sequence[float], reasons: dict[str, str]) -> dict[str, object]:
    sides = any(side in name.lower() for name in dataset.classes for side in ("left", "right"))
    reasons["augment.flip"] = (
        "classes tell left from right: never mirrored" if sides else "the body is alike on both sides of its last axis"
    )
    coarse = max(spacing) >= ANISOTROPIC * min(spacing)
    if coarse:
        reasons["augment.about"] = "one axis is much coarser than the others: turned about that one alone"
    return {
        "flip": [False, False, not sides],
        "scale": (0.8, 1.25),
        "rotate": 15.0,
        "about": [spacing.index(max(spacing))] if coarse else [0, 1, 2],
        "brightness": 0.2,
        "contrast": 0.25,
        "saturation": 0.0,
        "noise": 0.1,
        "gamma": 0.4,
    }
