"""Cones between the rays of a sphere: every point of space lies in the cone of three neighboring rays."""

from functools import cache

import numpy as np

from atrous.objects.directions import directions

CELLS = 16
"""Cells along each side of the cube in which the search for a cone begins."""
BESIDE = 1e-9
"""A point that is so little outside of a cone, as a part of its distance, is taken as on the border."""


class Cones:
    """The cones of a set of rays.

    The triangles between neighboring rays are the faces of the convex hull of the directions. A cone holds the points
    a u + b v + c w with a, b, c >= 0, where u, v, w are the directions of a triangle. The cones fill space.

    Args:
        rays: number of rays.

    Attributes:
        directions: `(rays, 3)` float64.
        triangles: `(faces, 3)` int64, the rays of each cone; there are 2 rays - 4.
        sizes: `(faces,)`, six times the volume of the tetrahedron of the center and the ends of three rays of length 1.
        depth: radius of the greatest ball around the center that lies in the hull of the directions.
        stretch: the hull of rays that are so long has the volume of the ball of radius 1.

    >>> Cones(96).triangles.shape
    (188, 3)
    """

    def __init__(self, rays: int) -> None:
        from scipy.spatial import ConvexHull  # imported here: `atrous --help` must not wait for it

        self.directions = directions(rays, 3)
        hull = ConvexHull(self.directions)
        self.triangles = hull.simplices.astype(np.int64)
        self.depth = float(-hull.equations[:, 3].max())
        columns = self.directions[self.triangles].swapaxes(1, 2)  # (faces, 3, 3): a point is columns @ (a, b, c)
        self.sizes = np.abs(np.linalg.det(columns))
        self.stretch = float(np.cbrt(8 * np.pi / self.sizes.sum()))
        self._inverse = np.linalg.inv(columns)
        self._across = hull.neighbors.astype(np.int64)  # entry k: the cone on the other side, away from ray k
        # A half line from the center leaves the hull through the face with the greatest normal @ direction / distance.
        middles = (np.moveaxis(np.indices((CELLS,) * 3), 0, -1).reshape(-1, 3) + 0.5) * 2 / CELLS - 1
        faces = hull.equations[:, :3] / -hull.equations[:, 3:]
        self._first = np.concatenate([(part @ faces.T).argmax(axis=1) for part in np.array_split(middles, CELLS)])

    def find(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return in which cone each point lies, and where in it.

        The search begins with the cone of a point nearby, and crosses the border on whose other side the point lies
        until there is none. What is found for a point does not depend on the other points.

        Args:
            points: `(n, 3)` float64, counted from the center.

        Returns:
            Indices of cones `(n,)`, and `(n, 3)` the factors a, b, c >= 0 of the three directions.
        """
        longest = np.abs(points).max(axis=1, initial=0)
        scaled = points / np.where(longest > 0, longest, 1)[:, None]
        cells = np.minimum(((scaled + 1) * (CELLS / 2)).astype(np.int64), CELLS - 1)
        cones = self._first[(cells[:, 0] * CELLS + cells[:, 1]) * CELLS + cells[:, 2]]
        factors = np.empty((len(points), 3))
        searching, border = np.arange(len(points)), -BESIDE * longest
        while len(searching):
            here = cones[searching]
            found = _product(self._inverse[here], points[searching])
            factors[searching] = found
            least = found.argmin(axis=1)
            outside = found[np.arange(len(found)), least] < border[searching]
            searching, here, least = searching[outside], here[outside], least[outside]
            cones[searching] = self._across[here, least]
        return cones, np.maximum(factors, 0)


@cache
def cones_of(rays: int) -> Cones:
    """Return the cones of so many rays, computed once."""
    return Cones(rays)


def _product(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Matrices `(n, 3, 3)` times vectors `(n, 3)`, in an order of operations that does not depend on n."""
    parts = [matrices[:, :, axis] * vectors[:, axis, None] for axis in range(3)]
    return parts[0] + parts[1] + parts[2]
