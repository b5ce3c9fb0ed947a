"""Predict numpy, torch, PIL, xarray, zarr and paths; results show themselves in a notebook."""

from pathlib import Path

import numpy as np
import torch
import zarr
from PIL import Image

import atrous


def main(run: str, image: str, folder: str = ".") -> list[np.ndarray]:
    """Predict one image in six forms; the labels are the same."""
    predictor = atrous.load(run)
    picture = Image.open(image)
    array = np.atleast_3d(np.asarray(picture)).transpose(2, 0, 1)  # (C, H, W)
    stored = zarr.create_array(Path(folder) / "image.zarr", data=array)

    inputs = [image, Path(image), picture, array, torch.from_numpy(array.copy()), stored]
    labels = [predictor.predict(each).labels for each in inputs]

    prediction = predictor.predict(image)
    Path(folder, "labels.png").write_bytes(prediction._repr_png_())  # what a notebook shows
    Path(folder, "labels.html").write_text(prediction._repr_html_(), encoding="utf-8")
    print(prediction)
    return labels


if __name__ == "__main__":
    import sys

    main(*sys.argv[1:])
