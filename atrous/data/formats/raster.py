"""PNG, JPEG, WebP, GIF and BMP, by Pillow; 16-bit color PNG, which Pillow halves to 8 bits, by imagecodecs."""

import io
import struct
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atrous.data.formats.base import Errors, FileFault, Format, LabelDetails, require_room
from atrous.data.formats.header import Header
from atrous.data.formats.orient import Turn, upright
from atrous.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

_KINDS = {
    "1": "bilevel",
    "L": "gray",
    "I": "gray",
    "I;16": "gray",
    "I;16B": "gray",
    "F": "gray",
    "P": "palette",
    "PA": "palette",
    "LA": "gray+alpha",
    "La": "gray+alpha",
    "RGB": "rgb",
    "YCbCr": "rgb",
    "LAB": "rgb",
    "HSV": "rgb",
    "RGBX": "rgb",
    "RGBA": "rgb+alpha",
    "RGBa": "rgb+alpha",
    "CMYK": "cmyk",
}
_PNG_KINDS = {0: "gray", 2: "rgb", 4: "gray+alpha", 6: "rgb+alpha"}
_ORIENTATION = 0x0112
_MOST_EXIF = 1 << 20
"""Bytes of EXIF data that are read of a PNG; cameras write at most 64 kB."""
_opening = threading.Lock()


class RasterFormat(Format):
    """PNG, JPEG, WebP, GIF and BMP images. Labels are written as PNG."""

    name = "PNG, JPEG, WebP, GIF or BMP"
    suffixes = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
    label_suffixes = (".png",)
    indexed = True

    @property
    def errors(self) -> Errors:
        """See `Format.errors`."""
        return (OSError, SyntaxError, ValueError, EOFError, RuntimeError, zlib.error, struct.error, MemoryError)

    def header(self, path: Path) -> Header:
        """See `Format.header`."""
        with _open(path) as image:
            depth, color = _png_depth(image, path)
            kind = _PNG_KINDS[color] if depth == 16 else _kind(image)
            channels = 1 if kind in ("bilevel", "gray", "gray+alpha") else 3
            deep = depth == 16 or image.mode.startswith("I")
            dtype = "uint16" if deep else "float32" if image.mode == "F" else "uint8"
            width, height = image.size
            turn = _turn(image, path, 2)
            height, width = (height, width) if turn is None else np.array([height, width])[list(turn.order)].tolist()
            palette = _palette(image) if kind == "palette" else None
            return Header((channels, height, width), dtype, kind, None, palette, turn is not None)

    def image(self, path: Path) -> np.ndarray:
        """See `Format.image`; a palette is looked up, alpha is dropped, the EXIF orientation is applied."""
        with _open(path) as image:
            _require_room(image, path)
            turn = _turn(image, path, 3)
            pixels = self._pixels(image, path)
        return pixels if turn is None else turn(pixels)

    def _pixels(self, image: "Image.Image", path: Path) -> np.ndarray:
        """Decode an image as it is stored, `(C, H, W)`."""
        depth, color = _png_depth(image, path)
        if depth == 16 and color != 0:
            return _channels_first(_png16(path))
        kind = _kind(image)
        image.load()
        if image.mode.startswith("I"):
            return np.asarray(image).astype(np.uint16)[None]
        if image.mode == "F":
            return np.asarray(image, dtype=np.float32)[None]
        wanted = "L" if kind in ("bilevel", "gray", "gray+alpha") else "RGB"
        return _channels_first(np.asarray(image if image.mode == wanted else image.convert(wanted)))

    def values(self, path: Path) -> np.ndarray:
        """Return the stored numbers, `(H, W)`, of a palette the indices; `(3, H, W)` of a color file.

        The EXIF orientation is applied, as it is to images.
        """
        with _open(path) as image:
            _require_room(image, path)
            turn = _turn(image, path, 3)
            depth, color = _png_depth(image, path)
            if depth == 16 and color != 0:
                pixels = _channels_first(_png16(path))
            else:
                gray_gif = _kind(image) == "gray" and image.mode == "P"
                image.load()
                _require_colors(image, path)
                stored = _stored(image.convert("L") if gray_gif else image, depth)
                pixels = stored if stored.ndim == 3 else stored[None]
        pixels = pixels if turn is None else turn(pixels)
        return pixels[0] if len(pixels) == 1 else pixels

    def is_lossy(self, path: Path) -> bool:
        """See `Format.is_lossy`: JPEG and lossy WebP, by their content."""
        with path.open("rb") as file:
            head = file.read(16)
        return head.startswith(b"\xff\xd8\xff") or (head[:4], head[8:16]) == (b"RIFF", b"WEBPVP8 ")

    def encode(self, path: Path, labels: np.ndarray, details: LabelDetails) -> bytes:
        """Return the content of a PNG of labels `(H, W)` from 0 to 255, with the palette if there is one."""
        if labels.ndim != 2 or (labels.size and not 0 <= int(labels.min()) <= int(labels.max()) <= 255):
            what = f"PNG takes two axes and values 0..255, not {labels.shape}"
            raise UserError(f"{path}: {what}: write .tif instead")
        colors = None if details.palette is None else tuple((int(r), int(g), int(b)) for r, g, b in details.palette)
        return encode_label(labels.astype(np.uint8), colors)


def encode_label(label: np.ndarray, palette: tuple[tuple[int, int, int], ...] | None) -> bytes:
    """Return the content of a PNG with labels `(H, W)` of uint8: gray, or as the indices of a palette."""
    from PIL import Image

    image = Image.fromarray(label)
    if palette is not None:
        image.putpalette([level for color in palette for level in color])
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _stored(image: "Image.Image", depth: int) -> np.ndarray:
    """Return the numbers of a decoded image of at most 8 bits, or of one channel of 16 or 32 bits."""
    if image.mode in ("P", "L", "1"):
        values = np.asarray(image).astype(np.uint8)
        # Pillow scales 2- and 4-bit gray to 0..255; a label is the stored number
        return values // {2: 85, 4: 17}[depth] if image.mode == "L" and depth in (2, 4) else values
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    if image.mode == "F":
        return np.asarray(image)
    if image.mode in ("LA", "La", "PA"):
        return np.ascontiguousarray(np.asarray(image)[..., 0])
    return _channels_first(np.asarray(image.convert("RGB")))


def _require_colors(image: "Image.Image", path: Path) -> None:
    """Raise if a mask is drawn in the transparency of a file: alpha differs, and all else is one value."""
    if image.mode not in ("LA", "La", "PA", "RGBA", "RGBa"):
        return
    bands = [np.asarray(band) for band in image.split()]
    if np.ptp(bands[-1]) and not any(np.ptp(band) for band in bands[:-1]):
        what = "its colors are the same everywhere, and only its transparency differs, which is not read"
        raise FileFault(path, what, "save the mask as one channel of class numbers, without alpha")


def _open(path: Path) -> "Image.Image":
    from PIL import Image

    # Pillow warns of "decompression bombs" beyond 89 megapixels; this package is made for large images.
    # The limit is global in Pillow, so it is lifted only while a file is opened.
    with _opening:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _require_room(image: "Image.Image", path: Path) -> None:
    """Raise if the pixels that an opened image declares do not fit into memory."""
    depth, _ = _png_depth(image, path)
    dtype = {"I": "int32", "F": "float32"}.get(image.mode, "uint16" if depth == 16 else "uint8")
    require_room(path, (len(image.getbands()), image.height, image.width), dtype, copies=3)  # Pillow's, ours, converted


def _turn(image: "Image.Image", path: Path, ndim: int) -> Turn | None:
    """Return how an opened image is turned to be shown, None if it is stored so."""
    from PIL import Image

    # of a PNG, the method of its own class would decode all pixels: it looks behind them too
    orientation = Image.Image.getexif(image).get(_ORIENTATION)
    if orientation is None and image.format == "PNG":
        orientation = _late_exif(path).get(_ORIENTATION)
    return upright(orientation, ndim) if isinstance(orientation, int) and orientation != 1 else None


def _late_exif(path: Path) -> "Image.Exif":
    """Return the EXIF data of a PNG, wherever its chunk `eXIf` stands; no pixel is decoded."""
    from PIL import Image

    exif = Image.Exif()
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name == b"eXIf":
                exif.load(b"Exif\x00\x00" + file.read(min(length, _MOST_EXIF)))
                break
            file.seek(length + 4, io.SEEK_CUR)
    return exif


def _png_depth(image: "Image.Image", path: Path) -> tuple[int, int]:
    """Return bit depth and color type from the IHDR chunk of a PNG; (8, 2) for other formats."""
    if image.format != "PNG":
        return 8, 2
    with path.open("rb") as file:
        head = file.read(26)
    return head[24], head[25]


def _png16(path: Path) -> np.ndarray:
    import imagecodecs

    pixels = np.asarray(imagecodecs.png_decode(path.read_bytes()))
    if pixels.ndim == 3 and pixels.shape[-1] in (2, 4):
        pixels = pixels[..., :-1]
    return pixels


def _kind(image: "Image.Image") -> str:
    """Return the kind of a file's pixels; a GIF whose colors are all gray is gray, since every GIF has a palette."""
    if image.format == "GIF" and image.mode == "P" and all(r == g == b for r, g, b in _palette(image) or ()):
        return "gray"
    return _KINDS.get(image.mode, "rgb")


def _palette(image: "Image.Image") -> tuple[tuple[int, int, int], ...] | None:
    """Return the colors of an opened image; `Image.getpalette` would decode its pixels."""
    if image.mode not in ("P", "PA") or image.palette is None:
        return None
    order, levels = image.palette.getdata()
    width = 4 if len(order) == 4 else 3  # RGBA, BGRX
    colors = (tuple(levels[i : i + 3]) for i in range(0, len(levels) - 2, width))
    red, green, blue = (2, 1, 0) if order.startswith("BGR") else (0, 1, 2)
    return tuple((color[red], color[green], color[blue]) for color in colors)


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
