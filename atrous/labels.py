"""What label values mean everywhere in atrous."""

IGNORE = 255
"""The label of positions that count for nothing, neither in the loss nor in any figure ("void")."""
