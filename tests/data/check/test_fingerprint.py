import json

import numpy as np
import pytest

from atrous.data.check.fingerprint import Fingerprint, from_dict
from atrous.errors import UserError
from atrous.verbs.check import check
from tests.data.data_folders import SIZE, picture, save, stripes


def of(root) -> Fingerprint:
    return check(root).fingerprint


def test_the_numbers_are_those_of_the_training_images(flat):
    root = flat(lambda i: np.where(stripes() == 2, 255, stripes()))
    found = of(root)
    train = check(root).dataset.splits["train"]
    images = np.stack([picture(int(sample.image.path.stem)) for sample in train]).reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(found.mean, images.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.std, images.std(axis=0), rtol=1e-9)
    assert (found.minimum, found.maximum) == (images.min(), images.max())
    assert (found.channels, found.dtype, found.ndim) == (3, "uint8", 2)
    assert found.class_frequency == (0.5, 0.5, 0.0)
    assert found.images == {"train": 4, "val": 1}
    assert found.positions == {"train": 4 * SIZE[0] * SIZE[1], "val": SIZE[0] * SIZE[1]}
    assert found.bytes_decoded == 5 * SIZE[0] * SIZE[1] * 4


def test_sizes_are_least_median_and_greatest_per_axis(tmp_path):
    for i, size in enumerate([(10, 30), (20, 20), (30, 50)]):
        save(tmp_path / f"images/{i}.png", np.zeros((*size, 3), dtype=np.uint8) + np.uint8(i))
        save(tmp_path / f"masks/{i}.png", np.arange(size[0] * size[1], dtype=np.uint8).reshape(size) % 2)
    sizes = of(tmp_path).sizes
    assert (sizes.min, sizes.median, sizes.max) == ((10, 20), (20, 30), (30, 50))


def test_channels_and_bytes_are_those_of_the_loaded_images(flat):
    found = of(flat(toml='classes = ["a", "b", "c"]\nchannels = 1'))
    assert (found.channels, len(found.mean)) == (1, 1)
    assert found.bytes_decoded == 5 * SIZE[0] * SIZE[1] * 2


def test_json_gives_the_same_fingerprint_back(flat):
    found = of(flat())
    assert from_dict(json.loads(json.dumps(found.to_dict()))) == found
    with pytest.raises(UserError, match="fingerprint"):
        from_dict({"channels": 3})
