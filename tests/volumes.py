"""Small data sets of volumes and of signals with something to learn, for tests of the whole job."""

import json
from pathlib import Path

import nibabel
import numpy as np


def write_volumes(root: Path, count: int = 6, spacings=((1.0, 1.0, 2.0),), modality: str = "MRI") -> Path:
    """nnU-Net folder of bright balls and brighter cubes; intensities differ by orders of magnitude between cases."""
    rng = np.random.default_rng(0)
    content = {
        "channel_names": {"0": modality},
        "labels": {"background": 0, "ball": 1, "cube": 2},
        "file_ending": ".nii.gz",
    }
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content))
    for case in range(count):
        spacing = spacings[case % len(spacings)]
        shape = tuple(int(n / s) + int(rng.integers(0, 3)) for n, s in zip((16, 18, 32), spacing, strict=True))
        label = np.zeros(shape, np.uint8)
        center = np.array(shape) * rng.uniform(0.3, 0.45, 3)
        places = (np.indices(shape).T - center).T * np.array(spacing)[:, None, None, None]
        label[(places**2).sum(0) < 4.5**2] = 1
        low = [int(0.6 * n) for n in shape]
        label[low[0] : low[0] + 4, low[1] : low[1] + 4, low[2] : low[2] + 4] = 2
        image = np.array([0.0, 100.0, 220.0])[label] + rng.normal(0, 12, shape)
        scale = 1.0 if modality == "CT" else 10.0 ** rng.uniform(-2, 3)
        affine = np.diag([*spacing, 1])
        affine[:3, 3] = (5, -7, 11)
        image = nibabel.Nifti1Image((image * scale).astype(np.float32), affine)
        nibabel.save(image, root / "imagesTr" / f"case{case}_0000.nii.gz")
        nibabel.save(nibabel.Nifti1Image(label, affine), root / "labelsTr" / f"case{case}.nii.gz")
    return root


def write_signals(root: Path, count: int = 6, length: int = 400, rate: float = 100.0) -> Path:
    """CSV recordings with bumps `p` and spikes `qrs` on noise."""
    rng = np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.toml").write_text(f'classes = ["na", "p", "qrs"]\nsampling_rate = {rate}\n')
    for case in range(count):
        label, signal = np.zeros(length, int), rng.normal(0, 0.05, length)
        for start in range(int(rng.integers(5, 30)), length - 50, 70):
            label[start : start + 14], label[start + 20 : start + 28] = 1, 2
            signal[start : start + 14] += 0.5 * np.sin(np.linspace(0, np.pi, 14))
            signal[start + 20 : start + 28] += 2 * np.sin(np.linspace(0, 2 * np.pi, 8))
        words = np.array(["na", "p", "qrs"])[label]
        rows = [f"{i},{words[i]},{signal[i]:.5f}" for i in range(length)]
        (root / f"patient{case}.csv").write_text("\n".join(["index,label,wave_form", *rows]) + "\n")
    return root
