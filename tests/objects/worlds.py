"""Grids with known objects, and the dense maps that a perfect network would give for them."""

import numpy as np

from atrous.objects.directions import directions


def discs(shape, centers, radii):
    """Numbers `(*S)` of balls, each one over the earlier ones; a ball lies around the middle of its center position."""
    numbers = np.zeros(shape, np.uint32)
    grid = np.stack(np.indices(shape), axis=-1)
    for number, (center, radius) in enumerate(zip(centers, radii, strict=True), 1):
        numbers[((grid - center) ** 2).sum(axis=-1) <= radius**2] = number
    return numbers


def random_discs(shape, count, radii, seed=0, gap=2):
    """Numbers of balls that keep apart."""
    rng, centers, sizes = np.random.default_rng(seed), [], []
    for _ in range(50 * count):
        center, radius = np.array([rng.integers(0, n) for n in shape]), rng.uniform(*radii)
        if all(
            np.linalg.norm(center - other) > radius + size + gap for other, size in zip(centers, sizes, strict=True)
        ):
            centers.append(center)
            sizes.append(radius)
        if len(centers) == count:
            break
    return discs(shape, centers, sizes), np.array(centers), np.array(sizes)


def star_maps(shape, centers, radii, rays=32, noise=0.0, seed=0):
    """Maps `(1 + rays, *S)` of balls: probability that falls off from the center, and distances to the border."""
    rng = np.random.default_rng(seed)
    maps = np.zeros((1 + rays, *shape), np.float32)
    grid = np.stack(np.indices(shape), axis=-1).astype(float)
    for center, radius in zip(centers, radii, strict=True):
        offset = grid - center
        distance = np.sqrt((offset**2).sum(axis=-1))
        inside = distance <= radius
        maps[0][inside] = (1 - 0.9 * distance / (radius + 1))[inside]
        for ray, vector in enumerate(directions(rays, len(shape))):
            along = offset @ vector
            across = np.maximum(radius**2 - (distance**2 - along**2), 0)
            maps[1 + ray][inside] = (np.sqrt(across) - along)[inside]
    maps[0] += rng.normal(0, noise, shape)
    maps[1:] *= 1 + rng.normal(0, noise, maps[1:].shape)
    return maps


def vote_maps(numbers, centers, noise=0.0, seed=0):
    """Maps `(2 + ndim, *S)`: foreground, heat of centers, and distances to the center."""
    rng, ndim = np.random.default_rng(seed), numbers.ndim
    maps = np.zeros((2 + ndim, *numbers.shape), np.float32)
    maps[0] = numbers > 0
    grid = np.stack(np.indices(numbers.shape), axis=0).astype(float)
    for number, center in enumerate(centers, 1):
        offset = np.asarray(center, float).reshape(-1, *(1,) * ndim) - grid
        maps[1] = np.maximum(maps[1], np.exp(-(offset**2).sum(axis=0) / 8))
        maps[2:, numbers == number] = offset[:, numbers == number]
    return maps + rng.normal(0, noise, maps.shape).astype(np.float32)
