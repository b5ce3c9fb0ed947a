"""Whole slides as scanners write them: pyramids of tiles, with pictures of the glass in the same file."""

import io
import re
import struct

import numpy as np
import tifffile
from PIL import Image

GLASS = np.full((40, 90, 3), 77, np.uint8)
"""The label, the macro picture and the thumbnail."""


def coarser(pixels, factor):
    """A level of a pyramid `(H, W, 3)`: means over squares."""
    height, width = (n // factor for n in pixels.shape[:2])
    squares = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.rint(squares.mean((1, 3), dtype=np.float64)).astype(np.uint8)


def write_svs(path, pixels, mpp=0.25, factors=(1, 4), compression="deflate"):
    """An Aperio slide of pixels `(H, W, 3)`: baseline, thumbnail, levels, label, macro."""
    height, width = pixels.shape[:2]
    said = f"Aperio Image Library v12\n{width}x{height} [0,0 {width}x{height}] (64x64)"
    about = said + ("" if mpp is None else f"|AppMag = 40|MPP = {mpp}|Left = 1.0")
    options = {"photometric": "rgb", "metadata": None}
    tiles = {"tile": (64, 64), "compression": compression, **options}
    with tifffile.TiffWriter(path) as file:
        file.write(pixels, description=about, **tiles)
        file.write(GLASS, description="Aperio thumbnail", **options)
        for factor in factors[1:]:
            file.write(coarser(pixels, factor), description=f"Aperio level {factor}", **tiles)
        file.write(GLASS, description="Aperio label", subfiletype=1, **options)
        file.write(GLASS, description="Aperio macro", subfiletype=9, **options)
    return path


def write_ndpi(path, pixels, mpp=0.5, factors=(1, 2)):
    """A Hamamatsu slide: levels, then the macro picture (lens -1).

    Each page is one JPEG, with restart markers whose places are listed, in a classic TIFF with offsets of 64 bits.
    """
    pages = [(coarser(pixels, factor), 20.0 / factor, mpp * factor) for factor in factors] + [(GLASS, -1.0, 16.0)]
    content, before = bytearray(b"II*\0" + bytes(8)), 4
    for picture, lens, apart in pages:
        jpeg, starts = _restarted(picture)
        data, places = len(content), len(content) + len(jpeg)
        content += jpeg + struct.pack(f"<{len(starts)}I", *starts)
        rational, make, text = len(content), len(content) + 8, b"Hamamatsu\0"
        content += struct.pack("<II", round(1e4 / apart * 1000), 1000) + text + struct.pack("<3H", 8, 8, 8)
        lens_bits = struct.unpack("<I", struct.pack("<f", lens))[0]
        height, width = picture.shape[:2]
        tags = [
            (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, make + len(text)), (259, 3, 1, 7), (262, 3, 1, 6),
            (271, 2, len(text), make), (273, 4, 1, data), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(jpeg)),
            (282, 5, 1, rational), (283, 5, 1, rational), (296, 3, 1, 3), (65420, 4, 1, 1), (65421, 11, 1, lens_bits),
            *([(65426, 4, len(starts), places)] if lens > 0 else []),
        ]  # fmt: skip
        content[before : before + 8] = struct.pack("<Q", len(content))
        content += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        before = len(content)
        content += bytes(8 + 4 * len(tags))  # the next page, then the upper halves of the values
    path.write_bytes(content)
    return path


def _restarted(picture):
    """A JPEG with a restart marker after every 8 blocks, and where the parts begin."""
    buffer = io.BytesIO()
    wide = np.pad(picture, ((0, -len(picture) % 8), (0, -picture.shape[1] % 64), (0, 0)), "edge")
    Image.fromarray(wide).save(buffer, "JPEG", quality=95, subsampling=0, restart_marker_blocks=8)
    jpeg = buffer.getvalue()
    scan = jpeg.index(b"\xff\xda")
    first = scan + 2 + struct.unpack(">H", jpeg[scan + 2 : scan + 4])[0]
    marks = [m.end() for m in re.finditer(rb"\xff[\xd0-\xd7]", jpeg[first:])]
    size = struct.pack(">HH", *picture.shape[:2])
    frame = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:frame] + size + jpeg[frame + 4 :], [first, *(first + mark for mark in marks)]


def write_scn(path, pixels, mpp=0.5, factors=(1, 2), regions=1):
    """A Leica slide: a macro picture of low resolution first, then the levels of each region."""
    shapes = [[GLASS], *[[coarser(pixels, factor) for factor in factors]] * regions]
    number, images = 0, ""
    for image in shapes:
        dimensions = ""
        for r, level in enumerate(image):
            dimensions += f'<dimension sizeX="{level.shape[1]}" sizeY="{level.shape[0]}" r="{r}" ifd="{number}"/>'
            number += 1
        images += f'<image name="image"><pixels>{dimensions}</pixels></image>'
    about = f'<?xml version="1.0"?><scn xmlns="x"><collection name="c">{images}</collection></scn>'
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for place, image in enumerate(shapes):
            for level, factor in zip(image, factors, strict=False):
                apart = 16.0 if place == 0 else mpp * factor
                file.write(
                    level, photometric="rgb", tile=(64, 64), compression="deflate", metadata=None,
                    description=about if place == 0 else None, resolution=(1e4 / apart,) * 2,
                    resolutionunit="CENTIMETER",
                )  # fmt: skip
    return path


def write_philips(path, pixels, mpp=0.5, factors=(1, 2)):
    """A Philips slide: levels, then the macro picture."""
    spacings = "".join(
        '<DataObject ObjectType="PixelDataRepresentation">'
        f'<Attribute Name="DICOM_PIXEL_SPACING">&quot;{mpp * f / 1000:.9f}&quot; &quot;{mpp * f / 1000:.9f}&quot;'
        "</Attribute></DataObject>"
        for f in factors
    )
    about = f'<?xml version="1.0"?><DataObject ObjectType="DPUfsImport"><Array>{spacings}</Array></DataObject>'
    tiles = {"photometric": "rgb", "tile": (64, 64), "compression": "deflate", "metadata": None}
    with tifffile.TiffWriter(path) as file:
        for factor in factors:
            description = about if factor == 1 else f"level={factor}"
            file.write(coarser(pixels, factor), description=description, software="Philips DP v1.0", **tiles)
        file.write(GLASS, photometric="rgb", description="Macro", metadata=None)
    return path
