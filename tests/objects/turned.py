"""Images of bright rectangles of two classes in any direction on dark ground, with the corners of each."""

import numpy as np

from atrous.objects.rotated import corners_of, rotated_iou


def turned_scene(shape, seed, count=5, sides=(8, 22)):
    """Return an image `(2, H, W)` uint8, where class k is bright in channel k, and corners `(n, 4, 2)` and classes."""
    rng = np.random.default_rng(seed)
    image, boxes, classes = rng.normal(60, 8, (2, *shape)), np.zeros((0, 5)), []
    places = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in shape), indexing="ij"), axis=-1)
    for _ in range(20 * count):
        length = rng.uniform(0.7 * sides[1], sides[1])
        width = rng.uniform(sides[0], 0.6 * length)
        reach = length / 2
        box = np.array([*(rng.uniform(reach, n - reach) for n in shape), length, width, rng.uniform(0, np.pi)])
        around = np.add(box, [0, 0, 4, 4, 0])
        if len(boxes) and rotated_iou(np.tile(around, (len(boxes), 1)), boxes).any():
            continue
        away = places - box[:2]
        along = away @ [np.sin(box[4]), np.cos(box[4])]
        across = away @ [np.cos(box[4]), -np.sin(box[4])]
        classes.append(int(rng.integers(0, 2)))
        image[classes[-1], (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2)] += 120
        boxes = np.concatenate([boxes, box[None]])
        if len(classes) == count:
            break
    return image.clip(0, 255).astype(np.uint8), (corners_of(boxes), np.array(classes))


def turned_scenes(count, shape, first=0, **options):
    """Return the images and the targets of several scenes, as `atrous.train` takes them."""
    rows = [turned_scene(shape, first + index, **options) for index in range(count)]
    return [image for image, _ in rows], [target for _, target in rows]
