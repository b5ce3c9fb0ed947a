"""Arrays stored in another orientation than they are shown or than their scan: mirrored or with axes exchanged."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from atrous.data.formats.header import Header, MapGrid

APART = 0.01
"""Part of a voxel by which two grids may differ and still count as the same."""
SHIFTED = 0.1
"""Pixels by which the grids of a map and its mask may differ."""

Affine = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Turn:
    """How an array is brought to another orientation.

    Attributes:
        order: of the axes, as for `transpose`; it comes first.
        mirrored: axes that are reversed then.
    """

    order: tuple[int, ...]
    mirrored: tuple[int, ...]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return the array in that orientation."""
        return np.ascontiguousarray(np.flip(values.transpose(self.order), self.mirrored))

    def back(self, values: np.ndarray) -> np.ndarray:
        """Return an array in that orientation as it was before; axes in front of those of the turn stay.

        >>> turn, values = Turn((1, 0), (0,)), np.arange(6).reshape(2, 3)
        >>> np.array_equal(turn.back(turn(values)), values)
        True
        """
        front = values.ndim - len(self.order)
        places = (*range(front), *(front + self.order.index(axis) for axis in range(len(self.order))))
        unflipped = np.flip(values, tuple(front + axis for axis in self.mirrored))
        return np.ascontiguousarray(unflipped.transpose(places))


_UPRIGHT = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
"""Whether rows and columns are exchanged, then whether the new rows and the new columns are reversed, for each value of
the orientation tag (TIFF 6.0, tag 274; Exif 2.32, 4.6.4)."""


def upright(orientation: int, ndim: int) -> Turn | None:
    """Return how an array whose last two axes are rows and columns is turned to be shown; None if it is so already.

    Args:
        orientation: value of the orientation tag of TIFF and EXIF, 1 to 8; viewers read any other value as 1.
        ndim: number of axes of the array.

    >>> upright(6, 3)  # turn by 90 degrees clockwise
    Turn(order=(0, 2, 1), mirrored=(2,))
    """
    if orientation not in _UPRIGHT:
        return None
    exchanged, *back = _UPRIGHT[orientation]
    rows, columns = ndim - 2, ndim - 1
    order = (*range(rows), *((columns, rows) if exchanged else (rows, columns)))
    return Turn(order, tuple(axis for axis, mirrored in zip((rows, columns), back, strict=True) if mirrored))


def is_singular(affine: Affine | np.ndarray) -> bool:
    """Return whether an affine `(4, 4)` maps different voxels to one place, or is not finite.

    >>> is_singular(np.eye(4)), is_singular(np.diag([1, 1, 0, 1]))
    (False, True)
    """
    matrix = np.array(affine, float)[:3, :3]
    if not np.isfinite(np.array(affine, float)).all():
        return True
    lengths = np.linalg.norm(matrix, axis=0)
    return bool((lengths == 0).any() or abs(np.linalg.det(matrix / np.where(lengths, lengths, 1))) < 1e-6)


def turn_between(
    label: Affine | np.ndarray | None,
    scan: Affine | np.ndarray | None,
    size: Sequence[int],
    apart: float | None = None,
) -> Turn | None:
    """Return how a label is turned so that its voxels are those of its scan.

    None if they are so already, if an affine is unknown, or if no turn brings one grid onto the other.

    Args:
        label: affine of the label, `(4, 4)`, from the voxel `(i, j, k, 1)` to the world.
        scan: affine of the scan.
        size: of the label, `(K, J, I)`.
        apart: voxels by which the two grids may differ; None for `APART` of the longest axis.

    >>> flipped = ((1, 0, 0, 0), (0, -1, 0, 4), (0, 0, 1, 0), (0, 0, 0, 1))
    >>> turn_between(flipped, np.eye(4), (3, 5, 7))
    Turn(order=(0, 1, 2), mirrored=(1,))
    """
    if label is None or scan is None or len(size) != 3 or is_singular(label) or is_singular(scan):
        return None
    change = np.linalg.solve(np.array(scan, float), np.array(label, float))  # voxel of the label to voxel of the scan
    turn = np.rint(change[:3, :3])
    length = np.array(size[::-1], float)
    if not np.array_equal(np.abs(turn).sum(0), np.ones(3)) or not np.array_equal(np.abs(turn).sum(1), np.ones(3)):
        return None
    source = np.abs(turn).argmax(1)  # for each axis of the scan, that of the label
    back = turn.sum(1) < 0
    start = np.where(back, length[source] - 1, 0.0)
    far = np.abs(change[:3, :3] - turn) @ length + np.abs(change[:3, 3] - start)
    if (far > (APART * max(size) if apart is None else apart)).any() or (np.array_equal(turn, np.eye(3))):
        return None
    first, second, third = (2 - int(source[2 - axis]) for axis in range(3))
    return Turn((first, second, third), tuple(2 - axis for axis in (2, 1, 0) if back[axis]))


def turn_onto(label: Header, image: Header, size: Sequence[int]) -> Turn | None:
    """Return how the values `(*S)` of a label file are turned onto the grid of its image.

    Scans say by their affines where their voxels are, maps by their transforms. None if the values are there already,
    or if it is not known where they are, or if no turn brings one grid onto the other.

    Args:
        label: header of the label file.
        image: header of its image.
        size: of the label.
    """
    if label.map is None or image.map is None or len(size) != 2:
        return turn_between(label.affine, image.affine, size)
    if label.map.crs and image.map.crs and label.map.crs != image.map.crs:
        return None
    turn = turn_between(_affine(label.map), _affine(image.map), (1, *size), SHIFTED)
    if turn is None:
        return None
    return Turn(tuple(axis - 1 for axis in turn.order[1:]), tuple(axis - 1 for axis in turn.mirrored if axis))


def _affine(grid: MapGrid) -> np.ndarray:
    """The affine `(4, 4)` from the center of the pixel `(column, row, 0, 1)` of a map to its coordinates."""
    a, b, c, d, e, f = grid.transform
    return np.array([[a, b, 0, c + (a + b) / 2], [d, e, 0, f + (d + e) / 2], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def axis_codes(affine: Affine | None) -> str:
    """Return where the axes i, j and k of a volume point: Right or Left, Anterior or Posterior, Superior or Inferior.

    Oblique axes count as the nearest one, so that each letter pair occurs once.

    Args:
        affine: `(4, 4)`, from the voxel `(i, j, k, 1)` to millimeters in RAS; None, or a singular one, gives "".

    >>> axis_codes(np.eye(4)), axis_codes(np.diag([-1, -1, 1, 1])), axis_codes(None)
    ('RAS', 'LPS', '')
    """
    if affine is None or is_singular(affine):
        return ""
    matrix = np.array(affine, float)[:3, :3]
    cosines = matrix / np.linalg.norm(matrix, axis=0)
    worlds = max(permutations(range(3)), key=lambda order: sum(abs(cosines[w, axis]) for axis, w in enumerate(order)))
    return "".join(("RL", "AP", "SI")[w][int(cosines[w, axis] < 0)] for axis, w in enumerate(worlds))


def turn_to(codes: str, wanted: str) -> Turn | None:
    """Return how a volume `(K, J, I)` whose axes i, j, k have these codes gets those that are wanted.

    None if it has them already, or if one of the two is unknown.

    >>> turn_to("LPS", "RAS"), turn_to("RAS", "RAS"), turn_to("", "RAS")
    (Turn(order=(0, 1, 2), mirrored=(1, 2)), None, None)
    """
    if codes == wanted or not codes or not wanted:
        return None
    pair = {letter: number for number, letters in enumerate(("RL", "AP", "SI")) for letter in letters}
    ours, theirs = codes[::-1], wanted[::-1]  # in the order of the axes (K, J, I)
    order = tuple([pair[letter] for letter in ours].index(pair[letter]) for letter in theirs)
    return Turn(order, tuple(axis for axis in range(3) if ours[order[axis]] != theirs[axis]))


def turned_affine(affine: Affine, turn: Turn, size: Sequence[int]) -> np.ndarray:
    """Return the affine `(4, 4)` of a turned volume.

    Args:
        affine: from the voxel `(i, j, k, 1)` of the volume to the world.
        turn: of its array `(K, J, I)`.
        size: of that array before it is turned.

    >>> turned_affine(np.diag([-1, 1, 1, 1]), Turn((0, 1, 2), (2,)), (3, 5, 7)).tolist()[0]
    [1.0, 0.0, 0.0, -6.0]
    """
    before, after = np.array(affine, float), np.array(affine, float)
    for axis, source in enumerate(turn.order):  # of the array: the file counts them the other way
        column = before[:3, 2 - source]
        after[:3, 2 - axis] = -column if axis in turn.mirrored else column
        if axis in turn.mirrored:
            after[:3, 3] += column * (size[source] - 1)
    return after
