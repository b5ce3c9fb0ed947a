"""What a file says about its array before its values are decoded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MapGrid:
    """The position of a map on the Earth.

    Attributes:
        crs: projection: `EPSG:4326` if it has such a number, else WKT; "" if the file does not say it.
        transform: `(a, b, c, d, e, f)` with `x = a * column + b * row + c` and `y = d * column + e * row + f`.
        nodata: value that means "nothing was measured here", None if there is none.
    """

    crs: str
    transform: tuple[float, ...]
    nodata: float | None = None


@dataclass(frozen=True)
class Header:
    """Shape, type and kind of an image or label file.

    Attributes:
        shape: `(C, *S)` of what `read_image` returns, without alpha and with a palette looked up.
        dtype: numpy name of the type that `read_image` returns: uint8, uint16 or float32.
        kind: `bilevel`, `gray`, `rgb`, `palette`, `gray+alpha`, `rgb+alpha`, `cmyk`, `array`, `volume`, `signal`,
            `video` or `map`.
        stored: numpy name of the type in the file, if it differs from `dtype`.
        palette: RGB of each index, if the file has a palette.
        rotated: whether the file asks to be rotated or mirrored (EXIF and TIFF orientation), which `read_image` does.
        inverted: whether 0 stands for white in the file (WhiteIsZero); what is read is turned round.
        spacing: distance between neighboring positions along each axis of `S` (mm in NIfTI), if known.
        affine: `(4, 4)`, from the voxel `(i, j, k, 1)`, in the order of the file, to world coordinates, if known.
        unit: of the spacing, if known.
        axes: letters of the axes of `S`, such as `ZYX` or `TYX`, if known.
        names: of the channels, "" for a channel without a name; empty if the file names none.
        map: position of a map on the Earth.
        unread: sizes of further images in the file, which are not read: pages of other sizes, other series.
        dropped: names of the channels of the file that hold no signal, and are left out.

    >>> Header((3, 4, 5), "uint8", "rgb").channels
    3
    """

    shape: tuple[int, ...]
    dtype: str
    kind: str
    stored: str | None = None
    palette: tuple[tuple[int, int, int], ...] | None = None
    rotated: bool = False
    inverted: bool = False
    spacing: tuple[float, ...] | None = None
    affine: tuple[tuple[float, ...], ...] | None = None
    unit: str | None = None
    axes: str | None = None
    names: tuple[str, ...] = ()
    map: MapGrid | None = None
    unread: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return self.shape[0]

    @property
    def size(self) -> tuple[int, ...]:
        """The spatial shape `S`."""
        return self.shape[1:]

    @property
    def unread_text(self) -> str:
        """What is said of the images that are not read; "" where there are none.

        >>> Header((1, 4, 5), "uint8", "gray", unread=("2 x 3",)).unread_text
        'only its image of 4 x 5 is read, 1 more is left out (2 x 3): save each as a file of its own'
        """
        if not self.unread:
            return ""
        count = len(self.unread)
        listed = ", ".join(self.unread[:3]) + (", ..." if count > 3 else "")
        size, more = " x ".join(map(str, self.size)), "1 more is" if count == 1 else f"{count} more are"
        return f"only its image of {size} is read, {more} left out ({listed}): save each as a file of its own"
