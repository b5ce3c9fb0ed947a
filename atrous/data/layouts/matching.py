"""The samples of one split: every image with the mask, or the masks, that its name asks for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from atrous.data.description import Description
from atrous.data.formats import FileFault, read_header, stem, suffix_of
from atrous.data.formats.polygons import POLYGON_SUFFIXES
from atrous.data.images import FileImage
from atrous.data.layouts.base import group_of
from atrous.data.layouts.folders import Folder
from atrous.data.layouts.pairing import pair
from atrous.data.layouts.polygons import slide_level
from atrous.data.layouts.several import MaskNames, masks_of
from atrous.data.layouts.together import ends_in
from atrous.data.sample import Sample
from atrous.data.targets.labels import LabelReader, Labels
from atrous.data.targets.mask_files import MaskFile, MergedMasks
from atrous.data.targets.polygons import ClassAttribute, PolygonMask
from atrous.errors import UserError

NAMELESS = (".npy", ".zarr")
"""Suffixes of arrays whose axes have no names."""


@dataclass
class Pool:
    """Folders of images, labels and regions of one split."""

    images: list[Folder] = field(default_factory=list)
    labels: list[Folder] = field(default_factory=list)
    regions: list[Folder] = field(default_factory=list)

    @property
    def grouped(self) -> bool:
        """Whether labels lie in folders with the same names as images do, so that nothing of them is left out."""
        return {folder.group for folder in self.labels} <= {folder.group for folder in self.images}


def match(root: Path, pool: Pool, description: Description, attribute: ClassAttribute | None = None) -> list[Sample]:
    """Return the samples of one split, unlabeled ones included.

    Args:
        root: the folder of the data set.
        pool: folders of the split.
        description: what dataset.toml says.
        attribute: what says the class of polygons; None where labels are not polygons.

    Raises:
        UserError: two images or two masks have one name, or several masks fit an image and none says which is meant.
    """
    images, regions = _keyed(root, pool.images, pool.grouped), _keyed(root, pool.regions, pool.grouped)
    labels_of = _labels(root, images, pool, description, attribute)
    region_of = pair(images, regions).partner
    samples = []
    for key, path in images.items():
        name, image = _sample_name(root, path), FileImage(path, (), description.channels, description.pages)
        label = labels_of.get(key)
        image = replace(image, level=slide_level(path, None if label is None else label.path, description.spacing))
        target = None
        if label is not None:
            target = Labels(_placed(label, image), image, regions[region_of[key]] if key in region_of else None)
        samples.append(Sample(name, image, target, group_of(name, description.groups)))
    return samples


def pages_by_masks(root: Path, pool: Pool) -> str | None:
    """Return how arrays without named axes are to be read, as their masks say it: "z", "rows", or None for as they are.

    An array `(24, 40, 48)` alone is read as 24 channels, but as a volume of few slices where its mask has as many
    ("z"). One of three with a mask of three may be RGB with colors, unless the mask is of a format that tells slices
    from channels. An array `(2, 5000)` alone is an image, but with a mask `(5000,)` a recording of two channels
    ("rows").
    """
    images, labels = (_keyed(root, kind, pool.grouped) for kind in (pool.images, pool.labels))
    for key, label in pair(images, labels).partner.items():
        if suffix_of(images[key]) not in NAMELESS:
            continue
        try:
            image, mask = read_header(images[key]), read_header(labels[label])
        except FileFault:
            continue  # said of this file when it is read as a sample
        if image.axes is not None:
            continue
        nameless = suffix_of(labels[label]) in NAMELESS and mask.axes is None
        if (nameless and image.shape == mask.shape and image.channels not in (1, 3)) or image.shape == mask.size:
            return "z"
        if image.channels == 1 and len(image.size) == 2 and mask.size == image.size[1:]:
            return "rows"
    return None


def _placed(reader: LabelReader, image: FileImage) -> LabelReader:
    """The reader of an image's labels; polygons are burned onto the grid of the image."""
    return replace(reader, image=image) if isinstance(reader, PolygonMask) else reader


def _labels(
    root: Path, images: Mapping[str, Path], pool: Pool, description: Description, attribute: ClassAttribute | None
) -> dict[str, LabelReader]:
    """What reads the labels of each image that has some, polygons included."""
    if attribute is None:
        return _readers(root, images, pool, description)
    drawn = [_only(folder, polygons=True) for folder in pool.labels]
    masks = replace(pool, labels=[_only(folder, polygons=False) for folder in pool.labels])
    readers = _readers(root, images, masks, description)
    ends = description.mask_suffix or ()
    labels = _keyed(root, drawn, pool.grouped, ends[0] if len(ends) == 1 else "")
    label_of = pair(images, labels).partner
    common = len(labels) == 1 and not readers and len(images) > 1
    if common:  # one file of polygons labels all images
        label_of = dict.fromkeys(images, next(iter(labels)))
    for key, name in label_of.items():
        if key not in readers:
            readers[key] = PolygonMask(labels[name], FileImage(images[key]), attribute, not common)
    return readers


def _only(folder: Folder, *, polygons: bool) -> Folder:
    """A folder with its files of polygons, or with all others."""
    return replace(folder, files=tuple(f for f in folder.files if (suffix_of(f) in POLYGON_SUFFIXES) == polygons))


def _readers(root: Path, images: Mapping[str, Path], pool: Pool, description: Description) -> dict[str, LabelReader]:
    """What reads the labels of each image that has some."""
    suffixes = description.mask_suffix
    if suffixes is not None and len(suffixes) > 1:
        return _class_readers(root, images, pool, description)
    labels = _keyed(root, pool.labels, pool.grouped, suffixes[0] if suffixes else "")
    names = masks_of(images, labels)
    if description.objects == 0:  # dataset.toml says that every file shows objects
        names = MaskNames(names.of_image | names.unclear, {})
    for image, unclear in names.unclear.items():
        files = " and ".join(labels[name].relative_to(root).as_posix() for name in unclear[:2])
        ends = [stem(labels[name]).removeprefix(stem(images[image])) for name in unclear]
        raise UserError(
            f"{root}: {files} both fit {images[image].relative_to(root).as_posix()} by name: write "
            f'mask_suffix = "{ends[0]}" in dataset.toml to read one kind, mask_suffix = {_listed(ends)} to read one '
            "class from each, or objects = true if each shows an object"
        )
    readers: dict[str, LabelReader] = {}
    for key, members in names.of_image.items():
        parts = tuple(_mask(labels[name], images[key], description) for name in members)
        readers[key] = parts[0] if len(parts) == 1 else MergedMasks(parts)
    return readers


def _class_readers(
    root: Path, images: Mapping[str, Path], pool: Pool, description: Description
) -> dict[str, LabelReader]:
    """Readers of masks of one class each: class 1 is in the files of the first `mask_suffix`, and so on."""
    parts: dict[str, list[tuple[int, MaskFile]]] = {}
    for number, suffix in enumerate(description.mask_suffix or (), 1):
        labels = _keyed(root, pool.labels, pool.grouped, suffix)
        for key, members in masks_of(images, labels).of_image.items():
            parts.setdefault(key, []).extend(
                (number, _mask(labels[name], images[key], description)) for name in members
            )
    return {
        key: MergedMasks(tuple(mask for _, mask in members), tuple(number for number, _ in members))
        for key, members in parts.items()
    }


def _mask(path: Path, image: Path, description: Description) -> MaskFile:
    return MaskFile(path, image, description.objects, description.pages)


def _listed(ends: Iterable[str]) -> str:
    quoted = [f'"{end}"' for end in ends]
    return f"[{', '.join(quoted)}]"


def _sample_name(root: Path, path: Path) -> str:
    return (path.parent.relative_to(root) / stem(path)).as_posix()


def _keyed(root: Path, folders: Iterable[Folder], grouped: bool, suffix: str = "") -> dict[str, Path]:
    """Files by group and stem, without `suffix`, in which their names must end.

    The part of the group that all folders share says nothing and is left out, unless images and labels are `grouped`
    alike.
    """
    folders = list(folders)
    parts = [folder.group.split("/") if folder.group else [] for folder in folders]
    shared = 0
    while not grouped and parts and all(len(p) > shared for p in parts) and len({p[shared] for p in parts}) == 1:
        shared += 1
    keyed: dict[str, Path] = {}
    for folder, group in zip(folders, parts, strict=True):
        for path in folder.files:
            if not ends_in(path, suffix):
                continue
            name = stem(path).removesuffix(stem(Path(suffix))) or stem(path)
            key = "/".join([*group[shared:], name])
            if key in keyed:
                other = keyed[key].relative_to(root)
                raise UserError(f"{path.relative_to(root)}: the same name as {other}: rename one of them")
            keyed[key] = path
    return keyed
