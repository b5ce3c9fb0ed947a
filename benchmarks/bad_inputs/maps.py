"""Mistakes in maps, and in polygons as labels."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from rasterio.transform import Affine

from benchmarks.bad_inputs.mistake import Mistake
from benchmarks.bad_inputs.pictures import spoiled
from tests.maps import map_transform, write_map, write_maps
from tests.polygons import square, write_shapes

SIZE = (64, 72)


def other_map(crs: str = "EPSG:32633", transform: Affine | None = None):
    """Return what writes one map, with its mask, in another projection or scale."""

    def change(folder: Path) -> None:
        place = transform or map_transform(3)
        bands = np.random.default_rng(0).integers(600, 1400, (5, *SIZE)).astype(np.int16)
        write_map(folder / "images/3.tif", bands, place, crs)
        write_map(folder / "masks/3.tif", np.ones((1, *SIZE), np.uint8), place, crs)

    return change


def shifted(folder: Path) -> None:
    place = map_transform(3)
    write_map(folder / "masks/3.tif", np.ones((1, *SIZE), np.uint8), Affine(10, 0, place.c + 20, 0, -10, place.f))


def upside_down(folder: Path) -> None:
    """Store the masks with the south first; their transforms say so."""
    for path in sorted((folder / "masks").iterdir()):
        with rasterio.open(path) as file:
            place, label = file.transform, file.read()
        flipped = Affine(10, 0, place.c, 0, 10, place.f - 10 * SIZE[0])
        write_map(path, np.ascontiguousarray(label[:, ::-1]), flipped)


def fields(shape=None, crs: Any = "EPSG:32633", **attributes):
    """Return what writes maps with a file of polygons for each; that of the last one holds another shape."""

    def make(folder: Path) -> None:
        write_maps(folder, count=4)
        (folder / "dataset.toml").unlink()
        for path in sorted((folder / "masks").iterdir()):
            path.unlink()
            place, last = map_transform(int(path.stem)), path.stem == "3"
            shapes = [square(place.c + 200, place.f - 200, 220), square(place.c + 480, place.f - 100, 120)]
            if last and shape is not None:
                shapes = [shapely.affinity.translate(shape, place.c + 200, place.f - 500), shapes[1]]
            given = attributes or {"kind": ["field", "water"]}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pyogrio warns of polygons without a projection
                write_shapes(folder / "labels" / f"{path.stem}.gpkg", shapes, crs if last else "EPSG:32633", **given)

    return make


BOW = shapely.Polygon([(0, 0), (90, 90), (90, 0), (0, 90)])


def elsewhere(folder: Path) -> None:
    fields()(folder)
    write_shapes(folder / "labels/3.gpkg", [square(0, 0, 90)], kind=["field"])


MISTAKES = (
    Mistake(
        "Polygons are not valid", fields(BOW), "error",
        ("labels/3.gpkg", "not valid (feature 1: Self-intersection", "correct them (QGIS: Fix geometries)"),
    ),
    Mistake(
        "Polygons are not valid", elsewhere, "error",
        ("labels/3.gpkg", "none of its 1 polygons lies on 3.tif"),
    ),
    Mistake(
        "Polygons are not valid", fields(crs=None), "error",
        ("labels/3.gpkg", "does not say its projection", "assign it"),
    ),
    Mistake(
        "which attribute of polygons", fields(crop=["a", "b"], farm=["c", "d"]), "refused",
        ("labels/0.gpkg", 'its class is in "crop" or "farm"', "in dataset.toml"),
    ),
    Mistake(
        "Maps have different projections", spoiled(other_map(crs="EPSG:32632"), write_maps), "warning",
        ("images/3.tif", "its projection is EPSG:32632, that of other maps EPSG:32633", "gdalwarp -t_srs"),
    ),
    Mistake(
        "Maps have different pixel sizes", spoiled(other_map(transform=Affine(30, 0, 399960, 0, -30, 5200020)),
        write_maps),
        "warning", ("images/3.tif", "a pixel is 30 m, in images/", "bring all to one scale"),
    ),
    Mistake(
        "Maps have different pixel sizes",
        spoiled(other_map("EPSG:4326", Affine(0.1, 0, 15, 0, -0.1, 47)), write_maps), "warning",
        ("pixel sizes are in different units", "bring all to one"),
    ),
    Mistake(
        "A mask is shifted against its map", spoiled(shifted, write_maps), "warning",
        ("masks/3.tif", "the mask lies 2 pixels beside its map", "export the mask on the grid of its image"),
    ),
    Mistake(
        "masks of maps that are stored upside down", spoiled(upside_down, write_maps), "note",
        ("masks/", "stored mirrored or turned against their maps"),
    ),
    Mistake("polygons: which attribute", fields(), "note", ("their attribute `kind`", "outside of them is class 0")),
)  # fmt: skip
