"""Colors as numbers `0xRRGGBB`."""

from collections.abc import Sequence

import numpy as np


def color_codes(values: np.ndarray) -> np.ndarray:
    """Colors `(3, *S)` of uint8 as numbers `0xRRGGBB`, `(*S)` int32.

    >>> [hex(code) for code in color_codes(np.array([[255, 0], [128, 0], [0, 7]], dtype=np.uint8))]
    ['0xff8000', '0x7']
    """
    red, green, blue = (channel.astype(np.int32) for channel in values[:3])
    return (red << 16) | (green << 8) | blue


def color_code(color: Sequence[int]) -> int:
    """The number `0xRRGGBB` of one color.

    >>> hex(color_code((255, 128, 0)))
    '0xff8000'
    """
    return (color[0] << 16) | (color[1] << 8) | color[2]


def code_color(code: int) -> tuple[int, int, int]:
    """The color of a number `0xRRGGBB`.

    >>> code_color(0xFF8000)
    (255, 128, 0)
    """
    return code >> 16, (code >> 8) & 255, code & 255
