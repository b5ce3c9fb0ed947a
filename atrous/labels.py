"""The meaning of label values everywhere in atrous."""

IGNORE = 255
"""Label of positions (pixels, voxels, samples, bases) that count neither in the loss nor in any metric: void."""

BACKGROUND_WORDS = ("background", "void", "none", "na", "other")
"""Names of classes, in lower case, that mean that nothing of interest is there."""

FRAME_BITS = 2
"""Bits per strand, above the low byte of a sequence's label, that hold the base's position within its codon."""
START_BIT, STOP_BIT = 12, 14
"""Bits of a sequence's label: its base is the first or the last one of a gene on `+`; on `-` it is the next bit."""
BASE_BIT = 16
"""From here on three bits of a sequence's label hold its base: 1 to 4 for A, C, G, T, and 0 where it is not known."""
MOST_BITS = 7
"""Largest number of channels of labels in which several classes can overlap: bit k of a byte is channel k, and the
value `IGNORE` must remain free."""

AREA = -1
"""Class of a box in which nothing counts, of whatever class it is."""


def area_of(number: int) -> int:
    """Return the class of a box in which nothing of the class `number` counts, but all else does: of a crowd.

    >>> area_of(0), area_of(3)
    (-2, -5)
    """
    return AREA - 1 - number
