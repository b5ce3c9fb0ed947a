"""What label values mean everywhere in atrous."""

IGNORE = 255
"""The label of positions that count for nothing, neither in the loss nor in any figure ("void")."""

FRAME_BITS = 2
"""Bits of a sequence's label, above the low byte, that hold the position within the codon, for each strand."""
MOST_BITS = 7
"""Channels that fit one byte of a label with several classes at a position (bit k: channel k) beside `IGNORE`."""
