"""A folder that grows gives its frames in order, each when it is complete."""

from fractions import Fraction
from io import BytesIO
from threading import Event

import numpy as np
import pytest
from PIL import Image

from atrous.data import live_folder
from atrous.data.live_folder import GrowingFolder
from atrous.errors import UserError


def picture(number: int) -> np.ndarray:
    return np.full((4, 6, 3), 10 * number, np.uint8)


def put(folder, number: int) -> None:
    """Write a frame as programs should: under another name, then renamed."""
    content = BytesIO()
    Image.fromarray(picture(number)).save(content, "PNG")
    beside = folder / f"f{number}.tmp"
    beside.write_bytes(content.getvalue())
    beside.rename(folder / f"f{number}.png")


def opened(folder, idle=0.0, told=None):
    return GrowingFolder(folder, idle, Fraction(10), (told if told is not None else []).append)


def test_frames_are_given_as_they_come(tmp_path):
    put(tmp_path, 9)
    stop = Event()
    frames = opened(tmp_path, idle=600).frames(stop)
    for number in (9, 10, 11):  # 9 comes before 10, by number
        frame = next(frames)
        assert frame.name == f"f{number}"
        assert frame.seconds == Fraction(number - 9, 10)
        np.testing.assert_array_equal(frame.pixels, picture(number).transpose(2, 0, 1))
        put(tmp_path, number + 1)  # only when the one before was given
    stop.set()
    assert list(frames) == []


def test_it_ends_when_nothing_comes(tmp_path):
    for number in range(3):
        put(tmp_path, number)
    (tmp_path / ".f7.png").write_bytes(b"hidden")
    (tmp_path / "notes.txt").write_text("no frame")
    assert [frame.name for frame in opened(tmp_path).frames(Event())] == ["f0", "f1", "f2"]


def test_gray_frames_after_one_in_color_are_read_as_colors(tmp_path):
    put(tmp_path, 0)
    Image.fromarray(picture(7)[..., 0]).save(tmp_path / "f1.png")
    first, gray = opened(tmp_path).frames(Event())
    np.testing.assert_array_equal(first.pixels, picture(0).transpose(2, 0, 1))
    np.testing.assert_array_equal(gray.pixels, picture(7).transpose(2, 0, 1))


def test_a_frame_with_the_name_of_another_one_is_left_out_and_told(tmp_path):
    """Their labels would have one name, and one of them would be written over."""
    for number in range(2):
        put(tmp_path, number)
    Image.fromarray(picture(0)).save(tmp_path / "f0.jpg")
    told: list[str] = []
    frames = [(frame.name, frame.seconds) for frame in opened(tmp_path, told=told).frames(Event())]
    assert frames == [("f0", 0), ("f1", Fraction(1, 10))]
    assert told == [f"{tmp_path / 'f0.png'}: a frame of this name was read already: left out"]


def test_a_frame_that_is_being_written_is_read_when_it_is_complete(tmp_path, monkeypatch):
    put(tmp_path, 0)
    whole = (tmp_path / "f0.png").read_bytes()
    (tmp_path / "f0.png").write_bytes(whole[:40])
    looked, read = [], live_folder.read_image

    def reads(path):
        looked.append(path)
        if len(looked) == 3:
            path.write_bytes(whole)
        return read(path)

    monkeypatch.setattr(live_folder, "read_image", reads)
    told: list[str] = []
    (frame,) = opened(tmp_path, told=told).frames(Event())
    np.testing.assert_array_equal(frame.pixels, picture(0).transpose(2, 0, 1))
    assert len(looked) == 3
    assert told == []


def test_what_is_left_out_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(live_folder, "SETTLED", 0.0)
    told: list[str] = []
    put(tmp_path, 5)
    (tmp_path / "f6.png").write_bytes(b"\x89PNG damaged")
    frames, names = opened(tmp_path, told=told).frames(Event()), []
    for frame in frames:
        names.append(frame.name)
        if frame.name == "f5":
            put(tmp_path, 1)
        elif frame.name == "f7":
            put(tmp_path, 8)
        if len(names) == 1:
            put(tmp_path, 7)
    assert names == ["f5", "f7", "f8"]
    assert any("f6.png" in line and "left out" in line for line in told)
    assert f"{tmp_path}: a frame has come whose names are before f6.png: left out" in told


def test_mistakes_are_named(tmp_path):
    with pytest.raises(UserError, match=r"none: no such folder"):
        opened(tmp_path / "none")
    with pytest.raises(UserError, match="no frame has come within 0 seconds"):
        list(opened(tmp_path).frames(Event()))
    put(tmp_path, 0)
    frames = opened(tmp_path).frames(Event())
    next(frames)
    tmp_path.joinpath("f0.png").unlink()
    tmp_path.rmdir()
    with pytest.raises(UserError, match="cannot be listed any more"):
        next(frames)
