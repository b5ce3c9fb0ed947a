"""The plan of a task that learns edges: the network, the consensus of annotators, and crops."""

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.errors import UserError
from atrous.recipe.plan import BATCH, STRIDE, PlannedRecipe, Request, plan_batch, plan_grids
from atrous.recipe.schema import validate

CROP = 320
"""Side of a crop: with the height of a photograph of BSDS500 the widest objects of a scene are seen whole."""
SCALE = (0.75, 1.5)
ROTATE = 20.0
VALIDATIONS = 8
"""Each matches edges, which takes longer than to find them."""
ETA = 0.3
"""Annotators draw one line a pixel or two apart: with half of them as the least, most of it would count for nothing."""
NEGATIVE_WEIGHT = 1.1


def plan_edges(dataset: Dataset, fingerprint: Fingerprint, request: Request) -> PlannedRecipe:
    """Plan a recipe for edges in images.

    Raises:
        UserError: the data are no images.
    """
    if fingerprint.ndim != 2:
        raise UserError(f"{dataset.root}: {fingerprint.ndim} axes: edges are learned from images: give these")
    planned = plan_grids(dataset, fingerprint, request)
    values, reasons = planned.recipe.model_dump(), dict(planned.reasons)
    values["input"]["spacing"] = []  # lines that are one pixel wide stay on their grid
    values["task"] |= {"dice": 0.0, "options": {"eta": ETA, "negative_weight": NEGATIVE_WEIGHT}}
    reasons["task.options"] = (
        f"a pixel is an edge if more than {ETA:.0%} of the annotators marked it; what fewer marked counts for nothing"
    )
    reasons["task.dice"] = "edges are thinned before they are measured: that they are thin already gains little there"
    values["model"]["name"] = "hed"
    reasons["model.name"] = "an output on every scale, each trained, and their fusion: edges of textures and of objects"
    side = min(CROP, *(max(STRIDE, int(length) // STRIDE * STRIDE) for length in fingerprint.sizes.median))
    values["train"] |= {
        "crop": [side, side], "batch_size": plan_batch((side, side), BATCH, request, reasons),
        "validations": VALIDATIONS,
    }  # fmt: skip
    reasons["train.crop"] = "square, so that upright and wide images fill it alike"
    values["augment"] |= {"scale": SCALE, "rotate": ROTATE, "foreground": 0.0}
    reasons["augment.scale"] = "edges are alike at many scales, but the largest objects must fit into a crop"
    reasons["augment.rotate"] = "edges have all directions: turned as far as crops stay within the images, about"
    return PlannedRecipe(validate(values, "plan"), reasons)
