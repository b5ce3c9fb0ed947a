"""Small data sets of maps, of microscopy stacks and of DICOM series with something to learn."""

from pathlib import Path

import numpy as np
import rasterio
import tifffile
from rasterio.transform import Affine

NODATA = -9999


def map_transform(index: int) -> Affine:
    """Each map beside the one before."""
    return Affine(10.0, 0.0, 399960.0 + 1000 * index, 0.0, -10.0, 5200020.0)


def write_map(path: Path, bands: np.ndarray, transform: Affine, crs: str = "EPSG:32633", **more) -> None:
    """A GeoTIFF of bands `(C, H, W)`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **shape, **more) as file:
        file.write(bands)


def write_maps(root: Path, count: int = 6, bands: int = 5, size: tuple[int, int] = (64, 72)) -> Path:
    """GeoTIFFs of int16 bands with a corner without data; fields are bright in some bands, water dark in all."""
    rng = np.random.default_rng(0)
    response = rng.integers(-300, 300, (3, bands)) + np.array([0, 400, -400])[:, None]
    for index in range(count):
        label = np.zeros(size, np.uint8)
        for value in (1, 2):
            row, column = rng.integers(14, size[0] - 22), rng.integers(0, size[1] - 22)
            label[row : row + 22, column : column + 22] = value
        image = response[label].transpose(2, 0, 1) + rng.normal(0, 60, (bands, *size)) + 1000
        image[:, :10, :16] = NODATA
        write_map(root / "images" / f"{index}.tif", image.astype(np.int16), map_transform(index), nodata=NODATA)
        write_map(root / "masks" / f"{index}.tif", label[None], map_transform(index))
    (root / "dataset.toml").write_text('classes = ["ground", "field", "water"]\n')
    return root


def write_stacks(root: Path, count: int = 5, size: tuple[int, int, int] = (8, 40, 44)) -> Path:
    """OME-TIFF stacks of two channels, 16 bits, with bright balls; masks as OME-TIFF."""
    rng = np.random.default_rng(0)
    scale = {"PhysicalSizeZ": 0.5, "PhysicalSizeY": 0.13, "PhysicalSizeX": 0.13}
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        center = np.array([rng.uniform(3, 5), rng.uniform(12, 28), rng.uniform(12, 30)])
        places = (np.indices(size).T - center).T * np.array([3.0, 1, 1])[:, None, None, None]
        label = ((places**2).sum(0) < 10**2).astype(np.uint8)
        image = np.stack([400 + 3000.0 * label, 900 - 300.0 * label]) + rng.normal(0, 150, (2, *size))
        pixels = image.clip(0, 65535).astype(np.uint16).swapaxes(0, 1)
        more = {"ome": True, "photometric": "minisblack"}
        tifffile.imwrite(root / "images" / f"{index}.ome.tif", pixels, metadata={"axes": "ZCYX", **scale}, **more)
        tifffile.imwrite(root / "masks" / f"{index}.ome.tif", label, metadata={"axes": "ZYX", **scale}, **more)
    (root / "dataset.toml").write_text('classes = ["ground", "cell"]\n')
    return root
