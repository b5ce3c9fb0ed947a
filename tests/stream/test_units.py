"""Units cover the output once, in whole chunks, and their halos cost what is said."""

import pytest
import torch
from torch import nn

from atrous.geometry.memory import measure
from atrous.stream import Refused, prepare, units
from atrous.stream.units import cut_units
from tests.toy_models import Lambda, settled, unet


@pytest.mark.parametrize(("ndim", "chunks"), [(1, (30,)), (2, (40, 25)), (3, None)])
def test_units_cover_the_output_once_in_whole_chunks(ndim, chunks, monkeypatch):
    monkeypatch.setitem(units.LEAST, ndim, 32)
    monkeypatch.setattr(units, "STEP", 16)
    ready = prepare(settled(unet(ndim)), (2, *(90, 70, 50)[:ndim]))
    cut = cut_units(ready, chunks=chunks)
    covered = torch.zeros(cut.size)
    for region in cut.regions:
        covered[region] += 1
        for part, chunk, size in zip(region, chunks or (16,) * ndim, cut.size, strict=True):
            assert part.start % chunk == 0
            assert part.stop % chunk == 0 or part.stop == size
    assert bool((covered == 1).all())
    assert cut.work <= 1 + units.EXCESS or len(cut) == 1


def test_the_work_is_that_of_all_units_and_smaller_halos_give_smaller_units(monkeypatch):
    monkeypatch.setitem(units.LEAST, 2, 16)
    ready = prepare(settled(unet(2)), (2, 320, 192))
    cut = cut_units(ready, side=64)
    programs = [cut.program(ready.axes, 0, cut.index(number)) for number in range(len(cut))]
    assert cut.macs == pytest.approx(sum(measure(each, 32, 4).macs for each in programs if each), rel=0.02)
    read = [each.boxes[0] for each in programs if each]
    numbers = sum(2 * (box[0][1] - box[0][0]) * (box[1][1] - box[1][0]) for box in read)
    assert cut.numbers == pytest.approx(numbers, rel=0.02)
    assert cut.work > 1.1
    sides = [cut_units(ready, excess=excess).sides[0] for excess in (0.02, 0.2, 0.6)]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] > sides[-1]
    assert "15 units of 64 x 64; halos add" in cut.text(4)


def test_parts_of_barriers_cover_their_inputs_once():
    network = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 3), nn.InstanceNorm2d(2))
    ready = prepare(network.eval(), (1, 90, 70))
    cut = cut_units(ready, side=16)
    assert [each.final for each in cut.passes] == [False, False, True]
    for each in cut.passes[:2]:
        (barrier,) = each.barriers
        source = ready.graph.ops[ready.axes[0].along[barrier].reads[0].input]
        covered = torch.zeros(source.shape[2:])
        for number in range(len(cut)):
            box = cut.targets(ready.axes, each, cut.index(number))[barrier]
            covered[slice(*box[0]), slice(*box[1])] += 1
        assert bool((covered == 1).all())


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(Refused, match="fft"):
        cut_units(prepare(Lambda(lambda m, x: torch.fft.fft2(x).real), (1, 32, 32)))
