"""What a file says of its array before it is decoded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MapGrid:
    """Where a map lies on the Earth.

    Attributes:
        crs: its projection, `EPSG:4326` where it has such a number, else WKT; "" where the file does not say it.
        transform: `(a, b, c, d, e, f)`, of which `x = a * column + b * row + c` and `y = d * column + e * row + f`.
        nodata: the value that means "nothing was measured here", None without one.
    """

    crs: str
    transform: tuple[float, ...]
    nodata: float | None = None


@dataclass(frozen=True)
class Header:
    """Shape, type and kind of an image or label file.

    Attributes:
        shape: `(C, *S)` as `read_image` returns it: alpha dropped, a palette looked up.
        dtype: numpy name of the type that `read_image` returns: uint8, uint16 or float32.
        kind: `bilevel`, `gray`, `rgb`, `palette`, `gray+alpha`, `rgb+alpha`, `cmyk`, `array`, `volume`, `signal` or
            `map`.
        stored: numpy name of the type in the file, where that differs from `dtype`.
        palette: RGB of each index, for a file with a palette.
        rotated: whether the file asks to be turned or mirrored (EXIF orientation); readers here obey.
        spacing: distance between neighboring positions along each axis of `S`, where the file says it (mm in NIfTI).
        affine: position in the world of a voxel `(i, j, k, 1)` in the file's order, where the file says it.
        unit: of the spacing, where the file says it.
        axes: letters of the axes of `S`, such as `ZYX` or `TYX`, where the file says them.
        names: of the channels, "" for one without, where the file says them.
        map: projection of a map.

    >>> Header((3, 4, 5), "uint8", "rgb").channels
    3
    """

    shape: tuple[int, ...]
    dtype: str
    kind: str
    stored: str | None = None
    palette: tuple[tuple[int, int, int], ...] | None = None
    rotated: bool = False
    spacing: tuple[float, ...] | None = None
    affine: tuple[tuple[float, ...], ...] | None = None
    unit: str | None = None
    axes: str | None = None
    names: tuple[str, ...] = ()
    map: MapGrid | None = None

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.shape[0]

    @property
    def size(self) -> tuple[int, ...]:
        """The spatial shape `S`."""
        return self.shape[1:]
