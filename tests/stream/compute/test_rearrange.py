"""Views, pads, slices and shuffles of a part are the same rows of the whole."""

import pytest
import torch
import torch.nn.functional as F

from tests.stream.compute.parts import check_parts
from tests.toy_models import Lambda

SHAPE = (4, 8, 12)
FUNCTIONS = {
    "view": lambda x: x.reshape(1, 2, 2, 8, 12),
    "view of pairs of rows": lambda x: x.reshape(1, 4, 4, 2, 12).transpose(1, 3).reshape(1, 2, 4, 48),
    "rows of pairs": lambda x: x.reshape(1, 4, 4, 24).reshape(1, 4, 8, 12) + x.reshape(1, 4, 8, 12),
    "flatten": lambda x: x.flatten(2).unflatten(2, (8, 12)),
    "shuffle": lambda x: torch.pixel_shuffle(x, 2),
    "unshuffle": lambda x: torch.pixel_unshuffle(x, 2),
    "unshuffle 4": lambda x: torch.pixel_unshuffle(torch.pixel_shuffle(x, 2), 4),
    "expand": lambda x: (
        x.amax(1, keepdim=True).expand(1, 5, 8, 12) + x.amax((2, 3), keepdim=True).expand(1, 4, 8, 12)[:, :1]
    ),
    "repeat channels": lambda x: x.repeat(1, 3, 1, 1),
    "repeat a vector": lambda x: x.amax(2, keepdim=True).repeat(1, 1, 8, 1),
    "repeat rows": lambda x: x.repeat_interleave(3, 2).repeat_interleave(2, 3),
    "repeat interleaved channels": lambda x: x.repeat_interleave(2, 1),
    "pad": lambda x: F.pad(x, (2, 1, 3, 5), value=0.7),
    "pad and crop": lambda x: F.pad(x, (-2, 3, 2, -1), value=-1.5),
    "pad far": lambda x: F.pad(x, (15, 0, 0, 20)),
    "pad channels": lambda x: F.pad(x, (0, 0, 1, 2, 1, 0), value=2.0),
    "reflect": lambda x: F.pad(x, (2, 1, 3, 5), mode="reflect"),
    "replicate": lambda x: F.pad(x, (2, 1, 3, 5), mode="replicate"),
    "replicate and crop": lambda x: F.pad(x, (-1, 2, 3, -2), mode="replicate"),
    "circular": lambda x: F.pad(x, (2, 1, 3, 5), mode="circular"),
    "slice": lambda x: x[:, :, 1:7:2, ::3],
    "slice channels": lambda x: x[:, 1:4:2],
    "slice the end": lambda x: x[:, -3:, :, 2:],
    "chunks": lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
    "chunks of rows": lambda x: x.chunk(3, 3)[1] + x.split([1, 4, 4, 3], 3)[2],
    "parts of channels": lambda x: x.split([1, 2, 1], 1)[1],
    "unbind": lambda x: x.unbind(1)[2][None],
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "squeeze all": lambda x: x[:, :1, :, :1].squeeze(),
    "squeeze several": lambda x: x[:, :1].squeeze((0, 1))[None],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_rows_are_those_of_the_whole(name):
    check_parts(Lambda(lambda m, x: FUNCTIONS[name](x)), SHAPE)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular", "constant"])
def test_lines_and_volumes_are_padded_alike(mode):
    check_parts(Lambda(lambda m, x: F.pad(x, (3, 2), mode=mode)), (2, 9))
    check_parts(Lambda(lambda m, x: F.pad(x, (1, 2, 2, 0, 1, 1), mode=mode)), (1, 4, 5, 6))


def test_rows_of_one_are_not_squeezed_away():
    check_parts(Lambda(lambda m, x: x.squeeze(1).squeeze(1)), (1, 8, 3))
    check_parts(Lambda(lambda m, x: x.squeeze()[None]), (1, 8, 5))
