"""Images, volumes and signals of bright boxes of two classes on dark ground, with their true boxes."""

import numpy as np


def scene(shape, seed, count=5, sides=(8, 22)):
    """Return an image `(2, *S)` uint8, where class k is bright in channel k, and its boxes and their classes."""
    rng, ndim = np.random.default_rng(seed), len(shape)
    image, boxes, classes = rng.normal(60, 8, (2, *shape)), np.zeros((0, 2 * ndim)), []
    for _ in range(20 * count):
        side = np.array([rng.integers(sides[0], min(sides[1], n)) for n in shape])
        low = np.array([rng.integers(0, n - s + 1) for n, s in zip(shape, side, strict=True)])
        box = np.concatenate([low, low + side]).astype(float)
        apart = ((boxes[:, :ndim] >= box[ndim:] + 2) | (box[:ndim] >= boxes[:, ndim:] + 2)).any(axis=1)
        if apart.all():
            classes.append(int(rng.integers(0, 2)))
            boxes = np.concatenate([boxes, box[None]])
            image[(classes[-1], *(slice(a, a + s) for a, s in zip(low, side, strict=True)))] += 120
        if len(classes) == count:
            break
    return image.clip(0, 255).astype(np.uint8), (boxes, np.array(classes))


def scenes(count, shape, first=0, **options):
    """Return the images and the targets of several scenes, as `atrous.train` takes them."""
    rows = [scene(shape, first + index, **options) for index in range(count)]
    return [image for image, _ in rows], [target for _, target in rows]
