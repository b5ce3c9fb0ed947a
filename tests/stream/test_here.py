"""A run in this process takes the barriers that it is given, and plans for what is left."""

import numpy as np
import torch
from torch import nn

from atrous.stream import Options, prepare
from atrous.stream.here import planned, run_here


def test_given_barriers_leave_their_passes_out():
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 3, padding=1)).eval()
    ready, image, given = prepare(network, (1, 96, 640)), np.random.default_rng(0).random((1, 96, 640), np.float32), {}
    whole = run_here(ready, image, None, Options(barriers=given))
    region = (slice(20, 90), slice(100, 164))
    _, plan = planned(ready, Options(region=region, barriers=given, strategy="strips"))
    _, gathering = planned(ready, Options(region=region, strategy="strips"))
    assert (len(plan.passes), len(gathering.passes)) == (1, 2)
    assert plan.macs < gathering.macs / 2
    part = run_here(ready, image, None, Options(region=region, barriers=given))
    torch.testing.assert_close(torch.from_numpy(part), torch.from_numpy(whole[(slice(None), *region)]))
