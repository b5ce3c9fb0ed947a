"""Rows of any array become tensors, and finished rows are written into any array."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from atrous.errors import UserError
from atrous.stream.source import checked_sink, checked_source, numpy_dtype, read_box, write_box

CPU = torch.device("cpu")
ARRAY = np.arange(2 * 6 * 5).reshape(2, 6, 5)
BOX = {0: (1, 4), 1: (2, 5)}


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i2", ">i4", ">f4", "<f8", "f2", "?"])
def test_every_type_is_read(dtype):
    array = (ARRAY % 2 if dtype == "?" else ARRAY).astype(dtype)
    rows = read_box(array, BOX, torch.float32, CPU)
    assert rows.dtype == torch.float32
    assert rows.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(rows, torch.from_numpy(array[:, 1:4, 2:5].astype(np.float32))[None])


class Copies(TorchDispatchMode):
    """Notes the type of what is copied to each device, and the type that comes of it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default:
            self.seen.append((args[0].device.type, args[0].dtype, out.device.type, out.dtype))
        return out


@pytest.mark.parametrize(("dtype", "sent"), [("u1", torch.uint8), ("u2", torch.int16), ("f4", torch.float32)])
def test_rows_go_to_another_device_as_they_are_stored(dtype, sent):
    with Copies() as copies:
        rows = read_box(ARRAY.astype(dtype), BOX, torch.float32, torch.device("meta"))
    assert (rows.device.type, rows.dtype, rows.shape) == ("meta", torch.float32, (1, 2, 3, 3))
    assert [seen for seen in copies.seen if seen[0] == "cpu"] == [("cpu", sent, "meta", sent)]


def test_16_bits_are_read_whole():
    array = np.array([[0, 1, 2**15 - 1, 2**15, 2**16 - 1]], "u2")
    assert read_box(array, {0: (0, 5)}, torch.float64, CPU)[0, 0].tolist() == array[0].tolist()
    assert read_box(array.astype(">u2"), {0: (0, 5)}, torch.float64, CPU)[0, 0].tolist() == array[0].tolist()


def test_views_and_read_only_arrays_are_copied():
    backwards = ARRAY[:, ::-1].astype(np.float32)
    assert torch.equal(read_box(backwards, BOX, torch.float32, CPU)[0], torch.tensor(backwards[:, 1:4, 2:5].copy()))
    flipped = ARRAY.astype(np.float32)[:, ::-1]
    assert torch.equal(read_box(flipped, BOX, torch.float32, CPU)[0], torch.tensor(flipped[:, 1:4, 2:5].copy()))
    fixed = ARRAY.astype(np.float32)
    fixed.flags.writeable = False
    rows = read_box(fixed, BOX, torch.float32, CPU)
    rows.zero_()
    assert fixed[0, 1, 2] == 7


def test_tensors_lines_and_volumes():
    tensor = torch.from_numpy(ARRAY)
    assert torch.equal(read_box(tensor, BOX, torch.float64, CPU)[0], tensor[:, 1:4, 2:5].double())
    assert read_box(ARRAY[:, 0], {0: (1, 4)}, torch.float32, CPU).shape == (1, 2, 3)
    assert read_box(ARRAY[None], {0: (0, 2), 1: (1, 4), 2: (0, 1)}, torch.float32, CPU).shape == (1, 1, 2, 3, 1)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (3, "cannot be sliced"),
        ({"shape": 1}, "cannot be sliced"),
        (np.zeros(4), "without a batch axis"),
        (np.zeros((1, 2, 3, 4, 5)), "without a batch axis"),
        (np.zeros((1, 0)), "is empty"),
        (np.zeros((0, 4)), "is empty"),
    ],
)
def test_sources_that_cannot_be_read(source, text):
    with pytest.raises(UserError, match=text):
        checked_source(source)


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_sources_that_can(rank):
    array = np.zeros((1,) * rank)
    assert checked_source(array) is array


def test_sinks_are_made_or_checked():
    made = checked_sink(None, (3, 4), torch.bfloat16)
    assert (made.shape, made.dtype) == ((3, 4), np.float32)
    assert checked_sink(None, (4,), torch.uint8).dtype == np.uint8
    for shape in ((3, 4), (1, 3, 4)):
        sink = np.zeros(shape)
        assert checked_sink(sink, (3, 4), torch.float32) is sink
    with pytest.raises(UserError, match=r"the sink has shape \(4, 3\), but the result has \(3, 4\)"):
        checked_sink(np.zeros((4, 3)), (3, 4), torch.float32)
    assert numpy_dtype(torch.int32) == np.int32
    assert numpy_dtype(torch.float64) == np.float64


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_are_written_into_their_box(batch, dtype):
    rows, sink = torch.randn(1, 2, 3, 3).to(dtype), np.zeros((2, 6, 5), np.float32)
    write_box(sink[None] if batch else sink, rows, [(1, 4), (2, 5)], 2)
    expected = np.zeros((2, 6, 5), np.float32)
    expected[:, 1:4, 2:5] = rows[0].float()
    assert np.array_equal(sink, expected)


def test_labels_and_tensors_are_written():
    labels, sink = torch.ones(1, 3, 3, dtype=torch.uint8), np.zeros((6, 5), np.uint8)
    write_box(sink, labels, [(1, 4), (2, 5)], 2)
    assert sink.sum() == 9
    assert sink[1:4, 2:5].all()
    tensor = torch.zeros(6, 5, dtype=torch.float64)
    write_box(tensor, labels, [(1, 4), (2, 5)], 2)
    assert np.array_equal(tensor.numpy(), sink)
