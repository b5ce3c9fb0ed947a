"""Where images lie in the world: projections, scales and units that do not go together, and what was found."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from atrous.data.dataset import Dataset
from atrous.data.formats import Header, MapGrid
from atrous.data.formats.geotiff import has_rasterio, is_map
from atrous.data.formats.orient import SHIFTED, axis_codes, turn_onto
from atrous.data.guess import listing
from atrous.data.problems import Problem, relative, some
from atrous.data.scan import Scan
from atrous.data.targets.labels import Labels
from atrous.data.targets.polygons import PolygonMask

APART = 1.25
"""Scales of images that differ by a greater factor show things at different sizes."""
NO_PLACE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""The transform of a file that does not say where it lies."""


def world_problems(root: Path, scans: Sequence[Scan]) -> Iterator[Problem]:
    """Maps of several projections, images of several scales, masks that lie elsewhere than their map."""
    maps = [(one, one.image.map) for one in scans if one.image is not None and one.image.map is not None]
    yield from _projections(root, maps)
    yield from _scales(root, scans)
    yield from _orientations(root, scans)
    for one, grid in maps:
        label = _map_of_mask(one)
        if label is None or one.image is None or one.target is None or one.contents is None:
            continue
        if one.contents.size != one.image.size or _is_turned(one):
            continue
        if what := _elsewhere(grid, label):
            fix = "export the mask on the grid of its image (gdalwarp -tap, or QGIS: align rasters)"
            yield Problem(relative(one.target.path, root), what, fix, "warning", "place")


def world_notes(dataset: Dataset, scans: Sequence[Scan]) -> Iterator[str]:
    """What the files say of the world, one line for each kind."""
    readers = [one.target.reader for one in scans if isinstance(one.target, Labels)]
    attributes = [reader.attribute for reader in readers if isinstance(reader, PolygonMask)]
    yield from dict.fromkeys(attribute.text() for attribute in attributes if attribute is not None)
    grids = [one.image.map for one in scans if one.image is not None and one.image.map is not None]
    if grids:
        crs = Counter(_crs_name(grid) for grid in grids)
        yield f"{_count(len(grids), 'map')}: {', '.join(crs)}; labels are written in the projection of each map"
        yield from _nodata(dataset, scans, grids)
    if turned := [one for one in scans if _is_turned(one)]:
        which = relative(turned[0].target.path, dataset.root) if turned[0].target is not None else ""
        more = f" and {len(turned) - 1} more" if len(turned) > 1 else ""
        yield f"{which}{more}: stored mirrored or turned against their maps, and turned onto them by their transforms"
    units = sorted({one.image.unit for one in scans if one.image is not None and one.image.unit})
    if units:
        yield f"spacing is in {' and in '.join(units)}"
    names = Counter(one.image.names for one in scans if one.image is not None and any(one.image.names))
    if names:
        yield f"channels: {some([name or '?' for name in names.most_common(1)[0][0]], 12)}"
    flat = [one.sample.image.path for one in scans if one.image is not None and one.image.map is None]
    if not has_rasterio() and any(path.suffix.lower() in (".tif", ".tiff") and is_map(path) for path in flat):
        yield 'georeferenced TIFFs are read without projection and nodata: pip install "atrous[geo]" keeps both'


def _nodata(dataset: Dataset, scans: Sequence[Scan], grids: Sequence[MapGrid]) -> Iterator[str]:
    values = sorted({grid.nodata for grid in grids if grid.nodata is not None})
    void = sum(one.void for one in scans)
    total = sum(one.image.shape[1] * one.image.shape[2] for one in scans if one.image is not None)
    if values or void:
        said = f"nodata {', '.join(f'{value:g}' for value in values)}" if values else "no value is declared as nodata"
        share = f"{void / max(total, 1):.2%} of all positions have no data: labels and predictions are void there"
        yield f"{said}; {share if void else 'every position has data'}"
    if dataset.coding is None:
        return
    labels = {grid.nodata for one in scans if (grid := _map_of_mask(one)) is not None}
    known = list(dataset.coding.values or range(len(dataset.classes)))
    for value in sorted(set(known) & labels):
        name, left = dataset.classes[known.index(value)], listing([other for other in known if other != value], 300)
        yield (
            f'masks declare {value:g} as nodata; here it is the class "{name}": if it means nothing, write '
            f'ignore = [{value:g}] and values = {left}, and leave "{name}" out of `classes`'
        )


def _map_of_mask(one: Scan) -> MapGrid | None:
    """Where the file of a sample's mask puts it on the Earth; None where it does not say it."""
    header = None if one.contents is None else one.contents.header
    return None if header is None else header.map


def _is_turned(one: Scan) -> bool:
    """Whether the mask of a map is stored in another direction, and turned onto it."""
    if one.image is None or one.contents is None or one.contents.header is None or _map_of_mask(one) is None:
        return False
    return turn_onto(one.contents.header, one.image, one.contents.size) is not None


def _projections(root: Path, maps: Sequence[tuple[Scan, MapGrid]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for one, grid in maps:
        first.setdefault(_crs_name(grid), relative(one.sample.image.path, root))
    if len(first) > 1:
        (usual, _), *others = first.items()
        files = [file for _, file in others]
        what = f"its projection is {others[0][0]}, that of other maps {usual}"
        fix = "fine if pixels are as large in both; else bring all to one (gdalwarp -t_srs)"
        yield Problem(files[0], what, fix, "warning", "projections", tuple(files[1:]))


def _scales(root: Path, scans: Sequence[Scan]) -> Iterator[Problem]:
    """2-D images whose pixels differ in size; volumes are brought to one spacing, signals keep their rate."""
    known: dict[str, list[tuple[float, Scan, Header]]] = {}
    for one in scans:
        header = one.image
        if header is not None and header.spacing is not None and len(header.size) == 2:
            known.setdefault(header.unit or "", []).append((max(header.spacing), one, header))
    if len(known) > 1:
        rows = [rows[0] for rows in known.values()]
        units = " and ".join(unit or "without unit" for unit in known)
        what = f"pixel sizes are in different units: {units}"
        yield Problem(relative(rows[1][1].sample.image.path, root), what, "bring all to one", "warning", "scales")
    for rows in known.values():
        (low, small, _), (high, large, header) = min(rows, key=lambda row: row[0]), max(rows, key=lambda row: row[0])
        if high > APART * low:
            unit = f" {header.unit}" if header.unit else ""
            what = f"a pixel is {high:.4g}{unit}, in {relative(small.sample.image.path, root)} {low:.4g}"
            fix = "things look as many times smaller: bring all to one scale, or train on both"
            yield Problem(relative(large.sample.image.path, root), what, fix, "warning", "scales")


def _orientations(root: Path, scans: Sequence[Scan]) -> Iterator[Problem]:
    """Volumes whose axes point elsewhere than those of most: a network then meets left and right exchanged."""
    codes = [(axis_codes(one.image.affine), one) for one in scans if one.image is not None]
    known = Counter(code for code, _ in codes if code)
    usual = known.most_common(1)[0][0] if known else ""
    others = [(code, relative(one.sample.image.path, root)) for code, one in codes if code not in ("", usual)]
    if others:
        what = f"its axes point to {others[0][0]}, those of most volumes to {usual}"
        fix = "bring all to one orientation (nibabel.as_closest_canonical, with their masks), or train on both"
        yield Problem(others[0][1], what, fix, "warning", "orientation", tuple(file for _, file in others[1:]))


def _elsewhere(grid: MapGrid, label: MapGrid) -> str:
    """How the grid of a mask differs from that of its map; "" where it does not."""
    if grid.crs and label.crs and grid.crs != label.crs:
        return f"the projection of the mask is {_crs_name(label)}, that of its map {_crs_name(grid)}"
    if not (grid.crs and label.crs) and NO_PLACE in (grid.transform, label.transform):
        return ""
    a, b, c, d, e, f = grid.transform
    pixel = max(abs(a) + abs(b), abs(d) + abs(e)) or 1.0
    apart = max(abs(x - y) for x, y in zip((c, f), (label.transform[2], label.transform[5]), strict=True)) / pixel
    turned = any(abs(grid.transform[i] - label.transform[i]) > 1e-3 * pixel for i in (0, 1, 3, 4))
    if turned:
        return "the pixels of the mask are not those of its map: their sizes or directions differ"
    return f"the mask lies {apart:.3g} pixels beside its map" if apart > SHIFTED else ""


def _crs_name(grid: MapGrid) -> str:
    """A projection in a few words: `EPSG:32633`, or the name in its WKT."""
    if not grid.crs:
        return "no projection"
    return grid.crs if grid.crs.startswith("EPSG:") else grid.crs.split('"')[1] if '"' in grid.crs else grid.crs[:40]


def _count(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
