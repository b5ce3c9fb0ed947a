"""A few files are open at a time, and a network whose answer the page cannot show is refused."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from atrous.errors import UserError
from atrous.serve import viewer as module
from atrous.serve.cache import CacheFolder
from atrous.serve.found import find_files
from atrous.serve.picture import Plane
from atrous.serve.viewer import NotOpened, Viewer


@pytest.fixture
def viewer(tmp_path):
    for number in range(4):
        Image.fromarray(np.full((4, 5), number, np.uint8)).save(tmp_path / f"{number}.png")
    return Viewer(find_files([tmp_path], None, print), CacheFolder(tmp_path / "cache"))


def test_the_files_that_were_not_used_for_the_longest_time_are_closed(viewer, monkeypatch):
    monkeypatch.setattr(module, "OPEN", 2)
    first = viewer.picture(0)
    viewer.picture(1)
    assert viewer.picture(0) is first
    viewer.picture(2)
    assert viewer.picture(0) is first
    viewer.picture(3)
    viewer.picture(2)
    assert viewer.picture(0) is not first
    assert viewer.picture(3).value((0, 0)) == [3.0]


def test_files_that_fill_the_memory_are_closed(viewer, monkeypatch):
    first = viewer.picture(0)
    assert first.value((0, 0)) == [0.0]
    monkeypatch.setattr(module, "memory_limit", lambda: 4)
    viewer.picture(1)
    assert viewer.picture(0) is not first


def test_numbers_of_no_file_and_labels_without_a_network_are_refused(viewer):
    for number in (-1, 4):
        with pytest.raises(NotOpened, match="there are 4, counted from 0"):
            viewer.picture(number)
    with pytest.raises(UserError, match="start atrous serve with --run RUN"):
        viewer.labeled(0)


def test_no_request_waits_while_the_weights_of_another_network_are_read(viewer, monkeypatch):
    monkeypatch.setattr(module, "require_labels", lambda predictor: None)
    shares = []

    def identity():
        thread = threading.Thread(target=lambda: shares.append(viewer.share(0, Plane())))
        thread.start()
        thread.join(10)
        return "network"

    viewer.adopt(SimpleNamespace(classes=("a", "b"), identity=identity))
    assert (shares, viewer.networks) == ([1.0], 1)
    viewer.close()
