"""Layers and blocks, each written once for 1-D, 2-D and 3-D."""
