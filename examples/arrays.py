"""Train on arrays in memory, labels beside them: numpy, torch, or xarray with its coordinates kept."""

import numpy as np

import atrous


def main(out: str = "runs/arrays", epochs: float = 20) -> np.ndarray:
    """Find bright squares in noise; returns the labels of a new image."""
    rng = np.random.default_rng(0)
    labels = np.zeros((12, 64, 64), np.uint8)
    for label in labels:
        row, column = rng.integers(0, 44, 2)
        label[row : row + 20, column : column + 20] = 1
    images = (80 * labels + rng.normal(60, 15, labels.shape)).clip(0, 255).astype(np.uint8)

    trained = atrous.train((images[:-1], labels[:-1]), epochs=epochs, out=out, settings="train.validations=2")
    print(f"mean IoU on held-out images: {trained.scores.miou:.3f}")

    prediction = atrous.load(out).predict(images[-1])  # also torch tensors, PIL images, xarray, zarr and paths
    print(f"{(prediction.labels == labels[-1]).mean():.1%} of a new image is right")
    return prediction.labels


if __name__ == "__main__":
    main()
