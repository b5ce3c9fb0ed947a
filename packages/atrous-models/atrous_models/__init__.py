"""Trained networks for atrous. Each folder in this package is a model; `atrous models` lists them."""
