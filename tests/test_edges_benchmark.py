"""The parts of `benchmarks/edges.py`: Canny's strengths, joined images, and a run beside Canny."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from atrous.errors import UserError
from benchmarks import edges
from benchmarks.edges import canny_strength, joined


def test_a_stronger_step_is_an_edge_at_a_higher_level():
    gray = np.full((40, 60), 0.2, np.float32)
    gray[:, 20:] += 0.05
    gray[:, 40:] += 0.5
    strength = canny_strength(gray, 1.0, 12)
    weak, strong = strength[5:-5, 17:23].max(), strength[5:-5, 37:43].max()
    assert 0 < weak < strong < 1
    assert not strength[:, 25:35].any()


def test_images_are_joined_without_a_seam(tmp_path):
    rows = np.linspace(0, 255, 30).astype(np.uint8)
    wide = np.repeat(rows[:20, None] // 2, 30, axis=1) + rows[None, :30] // 2
    paths = [tmp_path / "wide.png", tmp_path / "tall.png"]
    for path, values in zip(paths, (wide, wide.T), strict=True):
        Image.fromarray(np.stack([values] * 3, axis=-1)).save(path)
    picture = joined(paths, 100)
    assert (picture.shape, picture.dtype) == ((3, 100, 100), np.uint8)
    assert picture.flags.c_contiguous
    for axis in (1, 2):
        assert np.abs(np.diff(picture[:, :40].astype(int), axis=axis)).max() < 12


def test_the_command_prints_a_table_and_a_line_of_json(tmp_path, monkeypatch, capsys):
    class Run:
        """What finds vertical steps."""

        def predict(self, path):
            values = np.asarray(Image.open(path).convert("L"), np.float32)
            strength = np.abs(np.diff(values, axis=1, append=values[:, -1:])) / 255
            return type("Values", (), {"values": strength[None]})()

    for folder in ("images/val", "groundTruth/val"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(2):
        image, marked = np.full((40, 60), 50, np.uint8), np.zeros((40, 60), bool)
        image[:, 20 + number :], marked[:, 19 + number] = 200, True
        Image.fromarray(image).save(tmp_path / f"images/val/{number}.png")
        Image.fromarray(marked).save(tmp_path / f"groundTruth/val/{number}.png")
    monkeypatch.setattr(edges, "load", lambda run: Run())
    words = ["edges", "run", str(tmp_path), "--workers", "1", "--levels", "5", "--side", "0"]
    monkeypatch.setattr(sys, "argv", words)
    edges.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0].rstrip(",") for line in lines[:3]] == ["ODS", "ours", "canny"]
    rows = json.loads(lines[-1])["rows"]
    assert [row["images"] for row in rows] == [2, 2]
    assert rows[0]["ods"] > 0.7
    assert rows[1]["ods"] > 0.5
    monkeypatch.setattr(sys, "argv", [*words[:2], str(tmp_path), "--split", "test"])
    with pytest.raises(UserError, match="no such folder"):
        edges.main()
