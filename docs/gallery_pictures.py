"""Make the picture of docs/gallery.md that no other page has: a blurred scene, and what `atrous restore` makes of it.

Usage: PYTHONPATH=. .venv/bin/python docs/gallery_pictures.py
"""

from pathlib import Path

import numpy as np

from atrous.data.restoration import Degradation, gaussian_psf
from atrous.demo.digits import digit_scene
from atrous.prediction.deconvolution import wiener
from atrous.report.pictures import to_rgb
from docs.demo_picture import titled

BLUR, NOISE, BALANCE = 2.5, 1.0, 0.01


def main() -> None:
    scene, _ = digit_scene((300, 300), seed=5, channels=1, split="test")
    blurred = Degradation(blur=BLUR, noise=NOISE)(scene.astype(np.float64), np.random.default_rng(0))
    restored = wiener(blurred, gaussian_psf(BLUR, 2), BALANCE)
    panels = [to_rgb(np.rint(values.clip(0, 255)).astype(np.uint8)) for values in (scene, blurred, restored)]
    target = Path(__file__).parent / "pictures" / "restored.png"
    titled(panels, ("scene", "blurred, with noise", "restored")).quantize(64).save(target, optimize=True)
    print(target)


if __name__ == "__main__":
    main()
