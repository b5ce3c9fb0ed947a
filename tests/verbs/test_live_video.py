"""`atrous predict RUN SOURCE --live`: files, a folder that grows, standard input and addresses, as the whole video."""

import io
import signal
import sys
from io import BytesIO, StringIO
from threading import Event, Thread

import numpy as np
import pytest
from PIL import Image

from atrous.cli.stopping import stopping
from atrous.errors import UserError
from atrous.recipe.run import Run
from atrous.recipe.schema import override
from atrous.verbs import live_video
from atrous.verbs import predict as verb
from atrous.verbs.live_video import predict_frames
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from tests.clips import write_movie
from tests.command import atrous
from tests.moved import mjpeg, moved_predictor, prepared_once, scene, web_server, write_pictures

TRACKS = PredictOptions(tracks=True, masks=True, idle=1e-4)
"""A folder ends when it has no other frame; nothing else looks at `idle` but addresses."""


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    return moved_predictor(tmp_path_factory.mktemp("run"))


@pytest.fixture(autouse=True)
def exact(moved, monkeypatch):
    """Every run is that of a network whose arithmetic is exact, and which is exported once."""
    monkeypatch.setattr("atrous.stream.session.prepare", prepared_once)
    for module in (verb, live_video):
        monkeypatch.setattr(module, "load_predictor", lambda run, options: moved)


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    return write_movie(tmp_path_factory.mktemp("movie") / "shop.mkv", scene(40), rate=25, crf="8")


@pytest.fixture(scope="module")
def whole(moved, movie, tmp_path_factory):
    """What the prediction of the file writes: the rows of the tracks, and the masks `(T, H, W)`."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verb, "load_predictor", lambda run, options: moved)
        assert not predict(moved.run, [movie], out, PredictOptions(tracks=True)).failed
    return written(out)


def written(out):
    """The rows of the tracks of `shop`, and its masks."""
    return (out / "shop_tracks.csv").read_text(), masks(out / "shop")


def masks(folder):
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir(), key=lambda p: (len(p.name), p))])


def same(out, name, whole):
    rows, labels = whole
    assert len(rows.splitlines()) > 20
    assert (out / f"{name}_tracks.csv").read_text() == rows
    np.testing.assert_array_equal(masks(out / name), labels)


def test_a_file(moved, movie, whole, tmp_path):
    told: list[str] = []
    facts = predict_frames(moved.run, movie, tmp_path, TRACKS, tell=told.append)
    same(tmp_path, "shop", whole)
    assert facts["frames"] == 40
    assert facts["written"] == [str(tmp_path / "shop_tracks.csv"), str(tmp_path / "shop")]
    assert told[0] == (
        "latency 0 frames: a frame is labelled as soon as it has come; rows of tables come 2 frames later"
    )
    assert told[-1].startswith("40 frames, ")
    assert "from its arrival to its labels" in told[-1]
    with pytest.raises(UserError, match="exists, and is not written over"):
        predict_frames(moved.run, movie, tmp_path, TRACKS)


def test_standard_input(moved, movie, whole, tmp_path):
    predict_frames(moved.run, "-", tmp_path, TRACKS, stdin=BytesIO(movie.read_bytes()))
    same(tmp_path, "stdin", whole)
    rows = StringIO()  # without a folder, rows go to standard output
    facts = predict_frames(moved.run, "-", stdin=BytesIO(movie.read_bytes()), stdout=rows)
    assert rows.getvalue() == whole[0]
    assert facts["written"] == []


def test_a_web_server(moved, movie, whole, tmp_path):
    with web_server("video/x-matroska", movie.read_bytes()) as address:
        predict_frames(moved.run, f"{address}/live/shop.mkv", tmp_path, PredictOptions(tracks=True, masks=True))
    same(tmp_path, "shop", whole)


def test_frames_of_a_gray_camera_become_color_as_in_the_whole_video(moved, tmp_path):
    pictures = np.full((12, 48, 64), 80, np.uint8)
    for time in range(12):
        pictures[time, 10:22, 4 * time : 4 * time + 12] = 200
    frames = write_pictures(tmp_path / "shop", pictures)
    assert not predict(moved.run, [frames], tmp_path / "whole", PredictOptions(tracks=True)).failed
    predict_frames(moved.run, frames, tmp_path / "live", TRACKS)
    labels = masks(tmp_path / "live" / "shop")
    np.testing.assert_array_equal(labels, masks(tmp_path / "whole" / "shop"))
    assert (labels[5:] == (pictures[5:] == 200)).all()
    rows = [(tmp_path / kind / "shop_tracks.csv").read_text() for kind in ("live", "whole")]
    assert rows[0] == rows[1]


def test_a_folder_that_grows(moved, tmp_path):
    """The next frame is put there when the rows of an earlier one are written; the labels are those of the whole."""
    pictures, out = scene(24), tmp_path / "live"
    frames, stop = write_pictures(tmp_path / "shop", pictures[:3]), Event()
    options = PredictOptions(tracks=True, masks=True, idle=600)
    faults: list[BaseException] = []

    def label() -> None:
        try:
            predict_frames(moved.run, frames, out, options, stop=stop)
        except BaseException as error:
            faults.append(error)

    work = Thread(target=label)
    work.start()
    for number in range(3, 24):
        waited = Event()
        while not (out / "shop" / f"f{number - 1}.png").exists() and work.is_alive():
            waited.wait(0.005)
        Image.fromarray(pictures[number]).save(tmp_path / "next.png")
        (tmp_path / "next.png").rename(frames / f"f{number}.png")
    while not (out / "shop" / "f23.png").exists() and work.is_alive():
        waited.wait(0.005)
    stop.set()
    work.join()
    assert faults == []
    assert not predict(moved.run, [frames], tmp_path / "whole", PredictOptions(tracks=True)).failed
    same(out, "shop", written(tmp_path / "whole"))


def test_a_folder_ends_when_nothing_comes_and_a_sequence_is_that_of_its_frames(moved, tmp_path):
    sequence = tmp_path / "shop"
    (sequence / "groundtruth").mkdir(parents=True)
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(sequence / "groundtruth" / "f3.png")
    write_pictures(sequence / "input", scene(24))
    facts = predict_frames(moved.run, sequence, tmp_path / "live", TRACKS)
    assert facts["frames"] == 24
    predict(moved.run, [sequence], tmp_path / "whole", PredictOptions(tracks=True))
    same(tmp_path / "live", "shop", written(tmp_path / "whole"))


def test_another_frame_size_ends_it_with_all_written(moved, tmp_path):
    files = mjpeg(scene(8)) + mjpeg(np.zeros((2, 24, 32, 3), np.uint8))
    told: list[str] = []
    with pytest.raises(UserError, match=r"^standard input: frame 8 is 24 x 32 .* the first 48 x 64"):
        predict_frames(moved.run, "-", tmp_path, TRACKS, stdin=BytesIO(b"".join(files)), tell=told.append)
    assert len(masks(tmp_path / "stdin")) == 8
    rows = (tmp_path / "stdin_tracks.csv").read_text().splitlines()
    assert rows[-1].startswith("7,")
    assert told[-1].startswith("8 frames, ")


def test_reports_come_at_intervals(moved, movie, tmp_path):
    told: list[str] = []
    predict_frames(moved.run, movie, tmp_path, TRACKS, tell=told.append, every=0.0)
    assert sum("frames/s" in line for line in told) == 41  # after each frame, and at the end


def test_a_reader_that_has_gone_ends_it(moved, movie):
    class Gone(StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    told: list[str] = []
    predict_frames(moved.run, movie, stdout=Gone(), tell=told.append)
    assert told[-1] == "0 frames"


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("none.mp4", {}, "none.mp4: no such file or folder"),
        ("ftp://camera/video", {}, "live input comes from rtsp://"),
        ("http://[::1/video", {}, r"http://\[::1/video: is no address \(Invalid IPv6 URL\)"),
        ("http://127.0.0.1:9/a.mjpg", {}, "gives no video .*check the address and the camera"),
        ("-", {"first_frame_seconds": 3.0}, "--first-frame-seconds says"),
        ("-", {"idle": 0.0}, "--idle 0: give a number greater than 0"),
        ("-", {"frame_rate": -1.0}, "--frame-rate -1: give a number greater than 0"),
        ("-", {"join": True}, "--join is for files"),
        ("-", {"engine": "openvino"}, "--engine openvino: frames that come are labelled by torch"),
        ("-", {"probabilities": "zarr"}, "not for videos"),
        ("-", {"least_area": 0}, "--least-area 0"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(moved, tmp_path, source, options, said, monkeypatch):
    from dataclasses import replace

    monkeypatch.setattr(live_video, "load_predictor", lambda run, options: replace(moved, engine=options.engine))
    with pytest.raises(UserError, match=said):
        predict_frames(moved.run, source, tmp_path / "out", PredictOptions(**options), stdin=BytesIO(b""))
    assert not (tmp_path / "out").exists()


def test_files_need_a_folder(moved, tmp_path):
    for option in ("masks", "overlay"):
        with pytest.raises(UserError, match=rf"--{option} writes a file: say into which folder with -o"):
            predict_frames(moved.run, "-", None, PredictOptions(**{option: True}))
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match="out: is a file: give a folder with -o"):
        predict_frames(moved.run, "-", tmp_path / "out")


def test_rows_and_masks_go_to_this_machine(moved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="s3://bucket/out: live frames are written to this machine"):
        predict_frames(moved.run, "-", "s3://bucket/out", PredictOptions(), stdin=BytesIO(b""))
    assert not list(tmp_path.iterdir())


def test_options_of_frames_that_come_are_not_for_files(moved, movie, tmp_path):
    for options in ({"masks": True}, {"idle": 3.0}, {"frame_rate": 5.0}):
        with pytest.raises(UserError, match="is for frames that come: give --live too"):
            predict(moved.run, [movie], tmp_path / "out", PredictOptions(**options))


def test_the_command(moved, movie, whole, tmp_path, monkeypatch):
    ended = atrous("predict", moved.run.folder, movie, "--live", "-o", tmp_path / "out", "--tracks", "--masks")
    assert ended.returncode == 0, ended.stderr
    same(tmp_path / "out", "shop", whole)
    assert ended.stdout == f"2 written to {tmp_path / 'out'}\n"
    assert "40 frames, " in ended.stderr.splitlines()[-1]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(BytesIO(movie.read_bytes())))
    ended = atrous("predict", moved.run.folder, "-")  # a run of motion reads a video there
    assert (ended.returncode, ended.stdout) == (0, whole[0])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(BytesIO(b"no video")))
    ended = atrous("predict", moved.run.folder, "-")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "atrous: standard input: is no video (Invalid data found when processing input): give a video"
    ]
    for words, said in [
        ((movie, movie, "--live"), "--live: 2 inputs, but one is labelled as it comes: give one"),
        ((movie, "--live", "--json"), "rows go to standard output: give -o, or leave --json out"),
    ]:
        ended = atrous("predict", moved.run.folder, *words)
        assert (ended.returncode, ended.stderr) == (2, f"atrous: {said}\n")


def test_a_run_on_images_is_refused(moved, movie, tmp_path):
    run = Run(moved.run.folder, override(moved.run.recipe, ["data.kind=grids"]))
    with pytest.raises(UserError, match="does not label the frames of a video"):
        predict_frames(run, movie, tmp_path / "out")


def test_ctrl_c_ends_the_work_and_the_second_one_interrupts(heeded):
    before = signal.getsignal(signal.SIGTERM)
    with stopping() as stop:
        assert not stop.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_stop_writes_all_that_was_labelled(moved, tmp_path):
    """The folder waits for more frames; when some are labelled it is stopped."""
    frames, stop, told = write_pictures(tmp_path / "shop", scene(8)), Event(), []

    def tell(text: str) -> None:
        told.append(text)
        if text.startswith("8 frames"):
            stop.set()

    options = PredictOptions(tracks=True, overlay=True, idle=600)
    facts = predict_frames(moved.run, frames, tmp_path / "out", options, stop=stop, tell=tell, every=0.0)
    assert facts["frames"] == 8
    rows = (tmp_path / "out" / "shop_tracks.csv").read_text().splitlines()
    assert rows[-1].startswith("7,")
    from atrous.data.formats import open_source

    assert open_source(tmp_path / "out" / "shop_overlay.mp4").shape[1] == 8
