"""2 and 300 channels of 16 bits through the whole job."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from atrous.prediction.predictor import load
from atrous.verbs.check import check
from atrous.verbs.train import train

SETTINGS = (
    "model.depth=10", "model.encoder_width=16", "model.width=16", "train.crop=[32, 32]", "train.batch_size=2",
    "train.precision=32-true", "train.learning_rate=3e-3", "train.validations=1",
)  # fmt: skip


@pytest.mark.parametrize("channels", [2, 300])
def test_channels_of_a_tiff_s_pages_are_normalized_learned_and_predicted(tmp_path, channels):
    rng = np.random.default_rng(0)
    root = tmp_path / "data"
    level = rng.integers(500, 30000, channels)[:, None, None]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    (root / "dataset.toml").write_text('classes = ["low", "high"]\npages = "channels"\n')
    for index in range(4):
        label = np.zeros((40, 44), np.uint8)
        label[:, : int(rng.integers(10, 34))] = 1
        image = level * (1 + 0.5 * label) + rng.normal(0, 20, (channels, 40, 44))
        with tifffile.TiffWriter(root / "images" / f"{index}.tif") as writer:
            for page in image.clip(0, 65535).astype(np.uint16):
                writer.write(page, contiguous=False, metadata=None)
        Image.fromarray(label).save(root / "masks" / f"{index}.png")
    found = check(root)
    assert found.ok
    fingerprint = found.fingerprint
    assert (fingerprint.channels, fingerprint.ndim, fingerprint.dtype) == (channels, 2, "uint16")
    epochs = 6 if channels < 300 else 40  # an epoch is two steps
    run = train(root, out=tmp_path / "run", epochs=epochs, settings=SETTINGS, report=False).run
    model = run.recipe.model
    assert model.in_channels == channels
    np.testing.assert_allclose(model.mean, fingerprint.mean, rtol=1e-5)
    predictor = load(tmp_path / "run")
    prediction = predictor.predict(root / "images" / "0.tif", probabilities=True)
    assert prediction.labels.shape == (40, 44)
    assert np.isfinite(prediction.probabilities).all()
    truth = np.asarray(Image.open(root / "masks" / "0.png"))
    assert (prediction.labels == truth).mean() > 0.8
    streamed = load(tmp_path / "run", memory="10MB").predict(root / "images" / "0.tif")
    assert (streamed.labels == prediction.labels).mean() > 0.999
