"""A predictor that labels bright pixels, to test the outputs of videos without a network."""

from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from atrous.data.formats import open_source
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.jobs import PredictionJob, run_jobs
from atrous.prediction.output import Companions
from atrous.prediction.overlay_video import video_outputs
from tests.clips import make_clip

PALETTE = ((0, 0, 0), (255, 0, 0))


def bright_labeler(blocks=1):
    """Labels 1 where a frame is bright: frame by frame, or the upper halves of all frames before the lower halves."""

    def write(source, labels, probabilities, *, resume=False, progress=None):
        height = source.shape[2]
        for rows in [slice(0, height)] if blocks == 1 else [slice(0, height // 2), slice(height // 2, height)]:
            for time in range(source.shape[1]):
                bright = np.asarray(source[0, time : time + 1, rows]) > 125
                labels[time : time + 1, rows, :] = bright.astype(np.uint8)
                progress(time / source.shape[1])

    def parts(item):
        source = open_source(item.path)
        return iter([Opened(source, tuple(source.shape[1:]))])

    plan = SimpleNamespace(blocks=blocks, macs=1e9, text=lambda: "the plan")
    return SimpleNamespace(
        palette=PALETTE, plan=lambda shape: plan, write=write, parts=parts, dtype=torch.float32, engine="torch",
        device="cpu",
    )  # fmt: skip


def label_video(video, out, *, overlay=False, blocks=1, tracks=None, progress=lambda done: None):
    """Run the job of one video; its labels go to the folder `labels` in `out`."""
    predictor, item = bright_labeler(blocks), Input((video,), video.with_name("labels").relative_to(video.parent))
    outputs = video_outputs(predictor, item, out, Companions(overlay=overlay, tracks=tracks))
    return run_jobs(predictor, [PredictionJob(item, tuple(outputs))], out, progress)


def write_shots(folder):
    """Four frames of a clip as `shot_7.png` to `shot_10.png`."""
    folder.mkdir()
    for time, picture in enumerate(make_clip(3, frames=4)[0]):
        Image.fromarray(picture).save(folder / f"shot_{7 + time}.png")
    return folder
