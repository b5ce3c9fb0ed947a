"""Numbered objects as labels: what the samples of a layout are where single objects are learned."""

from dataclasses import replace

from atrous.data.description import Description
from atrous.data.layouts.base import Layout
from atrous.data.targets.instances import as_instances
from atrous.data.targets.labels import Labels
from atrous.data.targets.polygons import PolygonMask
from atrous.errors import UserError


def instances_layout(layout: Layout, description: Description, task: str) -> Layout:
    """Return a layout whose labels number objects.

    Raises:
        UserError: the labels cannot be read so, or dataset.toml says what is for classes of positions.
    """
    said = description.file or "--task"
    if (layout.classes is not None and not _are_polygons(layout)) or description.objects:
        raise UserError(
            f'{said}: task = "{task}" needs the numbers of objects, but the values here are classes: name the files '
            "with the numbers (masks, mask_suffix), and leave `objects` out"
        )
    unused = next((key for key in ("ignore", "values", "palette") if getattr(description, key)), None)
    if unused is not None:
        raise UserError(f'{said}: `{unused}` is for classes, not for task = "{task}": take it out')
    splits = {
        split: tuple(s if s.target is None else replace(s, target=as_instances(s.target)) for s in samples)
        for split, samples in layout.splits.items()
    }
    return replace(layout, splits=splits, classes=None, ignore=None)


def _are_polygons(layout: Layout) -> bool:
    """Whether all labels are polygons of maps or slides, each of which may be an object."""
    targets = [sample.target for samples in layout.splits.values() for sample in samples if sample.target is not None]
    return all(isinstance(target, Labels) and isinstance(target.reader, PolygonMask) for target in targets)
