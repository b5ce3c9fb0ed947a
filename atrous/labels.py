"""The meaning of label values everywhere in atrous."""

IGNORE = 255
"""Label of positions (pixels, voxels, samples, bases) that count neither in the loss nor in any metric: void."""

BACKGROUND_WORDS = ("background", "void", "none", "na", "other")
"""Names of classes, in lower case, that mean that nothing of interest is there."""

FRAME_BITS = 2
"""Bits per strand, above the low byte of a sequence's label, that hold the base's position within its codon."""
MOST_BITS = 7
"""Largest number of channels of labels in which several classes can overlap: bit k of a byte is channel k, and the
value `IGNORE` must remain free."""
