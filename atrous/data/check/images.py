"""Faults of images: unreadable, unlike the others, not finite, blank; and what is worth a note."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from atrous.data.check.faults import Fault, relative
from atrous.data.check.fingerprint import Fingerprint
from atrous.data.check.scan import Scan
from atrous.data.description import Description


def image_faults(root: Path, description: Description, scans: Sequence[Scan], found: Fingerprint) -> Iterator[Fault]:
    """Faults of the image files, of any file that cannot be read, and of what dataset.toml says of their grid."""
    yield from _distances(root, description, found)
    for one in scans:
        for file, what, mend in dict.fromkeys((bad.file, bad.what, bad.mend) for bad in one.failures):
            yield Fault(relative(file, root), what, mend, kind="unreadable")
        yield from _names(root, one)
        if one.image is None or one.moments is None:
            continue
        file = relative(one.sample.image, root)
        if len(one.moments.mean) != found.channels:
            yield _other_channels(file, len(one.moments.mean), found.channels)
        if len(one.image.size) != found.ndim:
            what = f"it has {len(one.image.size)} axes, most images {found.ndim}"
            yield Fault(file, what, "keep images of one kind in a data set", kind="axes")
        if one.image.dtype != found.dtype and one.image.kind != "volume":  # intensities are scaled case by case
            what = f"its values are {one.image.dtype}, those of most images {found.dtype}: their scales differ"
            yield Fault(file, what, "save all images in one type", "warning", "dtype")
        if one.moments.bad:
            what = f"{one.moments.bad} values are NaN or infinite"
            yield Fault(file, what, "replace them by a number before training", kind="not finite")
        elif (one.moments.least == one.moments.most).all():
            value = float(one.moments.least[0])
            yield Fault(file, f"the image is blank (all {value:g})", "look at it, or remove it", "warning", "blank")


def _names(root: Path, one: Scan) -> Iterator[Fault]:
    """Names that are no text (from a zip file of another system): reports and lists cannot hold them."""
    for path in {one.sample.image: None, one.sample.label: None}:
        if path is not None and any("\udc80" <= letter <= "\udcff" for letter in relative(path, root)):
            mend = "rename it (all at once: convmv -f latin1 -t utf8 -r --notest FOLDER)"
            yield Fault(relative(path, root), "its name is not UTF-8", mend, kind="name")


def _distances(root: Path, description: Description, found: Fingerprint) -> Iterator[Fault]:
    """A `spacing` or `sampling_rate` for data of other axes."""
    file = relative(description.file or root, root)
    axes = f"{found.ndim} {'axis' if found.ndim == 1 else 'axes'}"
    order = {1: "", 2: " (height x width)", 3: " (slices or frames, rows, columns)"}[found.ndim]
    if description.sampling_rate is not None and found.ndim != 1:
        what = f"`sampling_rate` is for signals, but the images have {axes}"
        yield Fault(
            file, what, f"write `spacing` with {found.ndim} distances{order} instead, or neither", kind="spacing"
        )
    count = found.ndim if description.spacing is None else len(description.spacing)
    if count != found.ndim:
        what = f"`spacing` has {count} {'value' if count == 1 else 'values'}, but the images have {axes}"
        yield Fault(file, what, f"write one distance for each axis{order}", kind="spacing")


def _other_channels(file: str, channels: int, usual: int) -> Fault:
    gray_or_color = {channels, usual} == {1, 3}
    mend = f"write channels = {usual} in dataset.toml" if gray_or_color else "save it with the channels of the others"
    return Fault(file, f"it has {_channels(channels)}, most images have {usual}", mend, kind="channels")


def _channels(count: int) -> str:
    return f"{count} channel" if count == 1 else f"{count} channels"


def image_notes(root: Path, scans: Sequence[Scan]) -> Iterator[str]:
    """What was accepted and how it is read: alpha, palettes, deep and floating types, rotation."""
    said: Counter[str] = Counter()
    first: dict[str, str] = {}
    for one in scans:
        if one.image is None:
            continue
        for remark in _remarks(one):
            said[remark] += 1
            first.setdefault(remark, relative(one.sample.image, root))
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
