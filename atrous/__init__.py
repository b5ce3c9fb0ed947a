"""Fully convolutional networks for labelled grids of any size."""
