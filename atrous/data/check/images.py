"""Problems of images: unreadable, unlike the others, not finite, blank; and what is worth a note."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.composite import CompositeImage
from atrous.data.description import Description
from atrous.data.formats import Header, suffix_of
from atrous.data.formats.array import MOST_CHANNELS
from atrous.data.layouts.matching import NAMELESS
from atrous.data.layouts.scenes import SceneImage
from atrous.data.problems import Problem, relative
from atrous.data.scan import Scan

LONG = 8
"""An array of two axes that is so many times as long as high may be a recording with a row for each channel."""
APART = 0.01
"""Part of the spacing by which the affine may differ from it."""


def image_problems(
    root: Path, description: Description, scans: Sequence[Scan], numbers: Fingerprint
) -> Iterator[Problem]:
    """Yield the problems of image files, of every file that cannot be read, and of the grid in dataset.toml."""
    yield from _distances(root, description, numbers)
    for one in scans:
        for file, what, fix in dict.fromkeys((bad.file, bad.what, bad.fix) for bad in one.failures):
            yield Problem(relative(file, root), what, fix, kind="unreadable")
        yield from _names(root, one)
        if one.image is None or one.moments is None:
            continue
        file = relative(one.sample.image.path, root)
        if len(one.moments.mean) != numbers.channels:
            images = 2 if isinstance(one.sample.image, CompositeImage | SceneImage) else 1
            yield _other_channels(file, len(one.moments.mean) // images, numbers.channels // images)
        if len(one.image.size) != numbers.ndim:
            what = f"it has {len(one.image.size)} axes, most images {numbers.ndim}"
            yield Problem(file, what, "keep images of one kind in a data set", kind="axes")
        if one.image.dtype != numbers.dtype and one.image.kind != "volume":  # intensities are scaled case by case
            what = f"its values are {one.image.dtype}, those of most images {numbers.dtype}: their scales differ"
            yield Problem(file, what, "save all images in one type", "warning", "dtype")
        yield from _unscaled(file, one.image)
        if one.outlier is not None:
            far, share = f"{one.outlier.value:.8g}", f"{one.outlier.share:.1%}"
            what = (
                f"value {far} covers {share} of it, far outside of the rest ({one.outlier.low:.4g} to "
                f"{one.outlier.high:.4g})"
            )
            fix = f"write nodata = {far} in dataset.toml if nothing was measured there"
            yield Problem(file, what, fix, "warning", "nodata")
        if one.moments.bad and not one.moments.count.any():
            what = f"all {one.moments.bad} values are NaN or infinite"
            yield Problem(file, what, "look at it, or remove it", kind="not finite")
        elif one.moments.bad:
            values = "1 value is" if one.moments.bad == 1 else f"{one.moments.bad} values are"
            what = f"{values} NaN or infinite: they read as the mean, and their labels are void"
            yield Problem(
                file, what, "fine if nothing was measured there, correct it otherwise", "warning", "not finite"
            )
        elif (one.moments.least == one.moments.most).all():
            value = float(one.moments.least[0])
            yield Problem(file, f"the image is blank (all {value:g})", "look at it, or remove it", "warning", "blank")


def _unscaled(file: str, header: Header) -> Iterator[Problem]:
    """A volume whose affine has other distances of voxels than its spacing (NIfTI: sform and pixdim)."""
    if header.affine is None or header.spacing is None or len(header.spacing) != 3:
        return
    by_affine = np.linalg.norm(np.array(header.affine)[:3, :3], axis=0)[::-1]
    spacing = np.array(header.spacing)
    if (np.abs(by_affine - spacing) > APART * spacing).any():
        said, other = (" x ".join(f"{value:.4g}" for value in row) for row in (spacing, by_affine))
        what = f"its voxels are {said} apart (pixdim), but {other} by its affine: the first is used"
        yield Problem(file, what, "correct the one that is wrong, with the scan it was made of", "warning", "unscaled")


def _names(root: Path, one: Scan) -> Iterator[Problem]:
    """Names that are no text (from a zip file of another system): reports and lists cannot hold them."""
    for path in {one.sample.image.path: None} | ({one.target.path: None} if one.target is not None else {}):
        if any("\udc80" <= letter <= "\udcff" for letter in relative(path, root)):
            fix = "rename it (all at once: convmv -f latin1 -t utf8 -r --notest FOLDER)"
            yield Problem(relative(path, root), "its name is not UTF-8", fix, kind="name")


def _distances(root: Path, description: Description, numbers: Fingerprint) -> Iterator[Problem]:
    """A `spacing` or `sampling_rate` for data of other axes."""
    file = relative(description.file or root, root)
    axes = f"{numbers.ndim} {'axis' if numbers.ndim == 1 else 'axes'}"
    order = {1: "", 2: " (height x width)", 3: " (slices or frames, rows, columns)"}[numbers.ndim]
    if description.sampling_rate is not None and numbers.ndim != 1:
        what = f"`sampling_rate` is for signals, but the images have {axes}"
        yield Problem(
            file, what, f"write `spacing` with {numbers.ndim} distances{order} instead, or neither", kind="spacing"
        )
    count = numbers.ndim if description.spacing is None else len(description.spacing)
    if count != numbers.ndim:
        what = f"`spacing` has {count} {'value' if count == 1 else 'values'}, but the images have {axes}"
        yield Problem(file, what, f"write one distance for each axis{order}", kind="spacing")


def _other_channels(file: str, channels: int, usual: int) -> Problem:
    gray_or_color = {channels, usual} == {1, 3}
    fix = f"write channels = {usual} in dataset.toml" if gray_or_color else "save it with the channels of the others"
    return Problem(file, f"it has {_channels(channels)}, most images have {usual}", fix, kind="channels")


def _channels(count: int) -> str:
    return f"{count} channel" if count == 1 else f"{count} channels"


def _may_be_recording(one: Scan, header: Header, label: Header | None) -> bool:
    """Whether an array of two axes is so low and long that its rows may be channels, and no mask says otherwise."""
    low = header.channels == 1 and len(header.size) == 2 and header.size[0] <= MOST_CHANNELS
    nameless = suffix_of(one.sample.image.path) in NAMELESS and header.axes is None
    return low and nameless and header.size[1] >= LONG * header.size[0] and (label is None or label.size != header.size)


def image_notes(root: Path, scans: Sequence[Scan]) -> Iterator[str]:
    """What was accepted and how it is read: alpha, palettes, deep and floating types, rotation."""
    said: Counter[str] = Counter()
    first: dict[str, str] = {}
    for one in scans:
        if one.image is None:
            continue
        for remark in _remarks(one):
            said[remark] += 1
            first.setdefault(remark, relative(one.sample.image.path, root))
    for remark, count in said.items():
        images = "1 image" if count == 1 else f"{count} images"
        yield f"{images} ({first[remark]}{', ...' if count > 1 else ''}): {remark}"


def _remarks(one: Scan) -> Iterator[str]:
    header = one.image
    assert header is not None
    if header.kind in ("rgb+alpha", "gray+alpha"):
        yield "RGBA or gray with alpha: alpha is dropped, the colors are kept"
    if header.kind == "palette":
        yield "palette colors: looked up, read as RGB"
    if header.kind == "cmyk":
        yield "CMYK: read as RGB"
    if header.dtype == "uint16":
        yield "16-bit: accepted, the full range is kept"
    if header.dtype == "float32" and header.kind not in ("volume", "signal", "map"):
        yield f"{header.stored or 'float32'}: accepted" + (", kept as float32" if header.stored else "")
    if header.rotated:
        yield "turned by its EXIF orientation, as viewers do: masks must be drawn on the turned image"
    if header.dropped:
        names = ", ".join(repr(name) for name in dict.fromkeys(header.dropped))
        yield f"channels without a signal are left out: {names}"
    if header.unread:
        yield header.unread_text
    label = None if one.contents is None else one.contents.header
    if _may_be_recording(one, header, label):
        size = " x ".join(map(str, header.size))
        fix = 'if its rows are channels of a recording, write pages = "rows" in dataset.toml'
        yield f"read as an image of {size}: {fix}"
    if label is not None and label.unread:
        yield f"of its mask {label.unread_text}"
    if header.inverted:
        yield "0 stands for white in it (WhiteIsZero): inverted, as viewers do"
