"""Labels that are stored as colors: colors as numbers `0xRRGGBB`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atrous.data.formats.base import FileFault
from atrous.data.formats.header import Header


def color_codes(values: np.ndarray) -> np.ndarray:
    """Return colors `(3, *S)` of uint8 as numbers `0xRRGGBB`, `(*S)` int32.

    >>> [hex(code) for code in color_codes(np.array([[255, 0], [128, 0], [0, 7]], dtype=np.uint8))]
    ['0xff8000', '0x7']
    """
    red, green, blue = (channel.astype(np.int32) for channel in values[:3])
    return (red << 16) | (green << 8) | blue


def color_code(color: Sequence[int]) -> int:
    """Return the number `0xRRGGBB` of one color.

    >>> hex(color_code((255, 128, 0)))
    '0xff8000'
    """
    return (color[0] << 16) | (color[1] << 8) | color[2]


def code_color(code: int) -> tuple[int, int, int]:
    """Return the red, green and blue of a number `0xRRGGBB`.

    >>> code_color(0xFF8000)
    (255, 128, 0)
    """
    return code >> 16, (code >> 8) & 255, code & 255


def require_rgb(path: Path, values: np.ndarray, header: Header) -> np.ndarray:
    """Return the `color_codes` of the values `(C, *S)` of a label file.

    Raises:
        FileFault: the values are not colors: they have not three channels, or more than 8 bits.
    """
    fix = "save class numbers in one channel, or colors as 8-bit RGB"
    if len(values) != 3 or header.channels > 4:
        raise FileFault(path, f"a mask of {header.channels} channels", fix)
    if values.size and not 0 <= int(values.min()) <= int(values.max()) <= 255:
        raise FileFault(path, "a mask of colors of more than 8 bits", fix)
    return color_codes(values)


def is_color(values: np.ndarray, header: Header) -> bool:
    """Return whether the values that `read_values` read from a file with this header are colors, `(3, *S)`."""
    return values.ndim == len(header.size) + 1 and header.kind != "palette"


def single_channel(values: np.ndarray) -> np.ndarray | None:
    """Return one channel of values `(C, *S)` whose channels are all equal (a gray mask saved as RGB), else None."""
    return values[0] if all(np.array_equal(values[0], other) for other in values[1:]) else None
