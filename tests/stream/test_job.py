"""A job goes through passes, blocks and steps, from any source into any sink, and says how far it is."""

import numpy as np
import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.stream import Options, plan, prepare
from atrous.stream.compiled import eager_compiler
from atrous.stream.job import StreamJob
from atrous.stream.prepare import output_region
from tests import toy_models
from tests.toy_models import difference, settled

SHAPE = (2, 24, 20)
X = torch.randn(SHAPE, generator=torch.Generator().manual_seed(4))


def gated() -> nn.Module:
    return settled(nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Conv2d(4, 3, 3, padding=1)))


def job_of(network, region=None, compiler=None, **choices) -> StreamJob:
    ready, options = prepare(network, SHAPE), Options(region=region, **choices)
    run_plan = plan(ready, SHAPE, options, strategy="strips")
    return StreamJob(ready, run_plan, output_region(ready.graph, ready.axes, region), options, compiler)


def whole(network, x=X):
    with torch.inference_mode():
        return network(x[None])[0]


@pytest.mark.parametrize("compiler", [None, eager_compiler])
@pytest.mark.parametrize("choices", [{"axis": 0}, {"axis": 1}, {"axis": 0, "blocks": 2}])
def test_progress_rises_to_one(compiler, choices):
    shares = []
    network = gated()
    job = job_of(network, compiler=compiler, strip=5, progress=shares.append, **choices)
    assert difference(torch.from_numpy(job.run(X.numpy())), whole(network)) <= 5e-5
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert 0 < shares[0] <= 0.25 / choices.get("blocks", 1)
    assert len(shares) >= 2 * (24 // 5) * choices.get("blocks", 1)
    assert any(abs(share - 0.5) < 1e-9 for share in shares)  # the end of the first of two passes


def test_only_what_a_region_needs_is_read():
    class Noting:
        shape, dtype = SHAPE, np.dtype(np.float32)
        rows, columns = set[int](), set[int]()

        def __getitem__(self, key):
            self.rows.update(range(key[1].start, key[1].stop))
            self.columns.update(range(key[2].start, key[2].stop))
            return X.numpy()[key]

    network = settled(nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 3, (1, 3), padding=(0, 1))))
    region, source = (slice(6, 10), slice(0, 5)), Noting()
    out = job_of(network, region, strip=2).run(source)
    assert difference(torch.from_numpy(out), whole(network)[:, *region]) <= 5e-5
    assert source.rows == set(range(5, 11))
    assert source.columns == set(range(7))


def test_sources_of_another_shape_and_sinks_that_do_not_fit():
    job = job_of(gated())
    with pytest.raises(UserError, match=r"shape \(2, 24, 21\), but the plan was made for \(2, 24, 20\)"):
        job.run(np.zeros((2, 24, 21), np.float32))
    with pytest.raises(UserError, match="the sink has shape"):
        job.run(X.numpy(), np.zeros((3, 24, 21)))


def test_the_dtype_is_the_networks_unless_asked():
    assert job_of(gated()).dtype == torch.float32
    assert job_of(gated(), dtype=torch.bfloat16).dtype == torch.bfloat16
    network = gated().double()
    out = job_of(network, strip=6).run(X.numpy())
    assert out.dtype == np.float64
    assert difference(torch.from_numpy(out), whole(network, X.double())) <= 1e-12


class Zarr:
    """A chunked array with as little of zarr as a stream asks for."""

    def __init__(self, array: np.ndarray, chunks: tuple[int, ...]):
        self.array, self.chunks, self.shape, self.dtype = array, chunks, array.shape, array.dtype
        self.keys: list[tuple[slice, ...]] = []

    def __getitem__(self, key):
        self.keys.append(key)
        return self.array[key]

    def __setitem__(self, key, values):
        self.keys.append(key)
        self.array[key] = values


@pytest.mark.parametrize("axis", [0, 1])
def test_chunked_arrays_are_read_and_written_by_chunks(axis):
    network = settled(toy_models.unet(2))
    source, sink = Zarr(X.numpy(), (1, 10, 10)), Zarr(np.zeros((3, 24, 20), np.float32), (1, 6, 6))
    assert job_of(network, strip=4, axis=axis).run(source, sink) is sink
    assert difference(torch.from_numpy(sink.array), whole(network)) <= 5e-5
    size = SHAPE[1 + axis]
    assert [k[1 + axis] for k in source.keys] == [slice(i, min(i + 10, size)) for i in range(0, size, 10)]
    assert all(k[1 + axis].start % 6 == 0 for k in sink.keys)


def test_labels_go_into_sinks_without_channels():
    network = settled(toy_models.unet(2))
    sink = Zarr(np.zeros((24, 20), np.uint8), (6, 20))
    job_of(network, strip=4, axis=0, post="argmax").run(X.numpy(), sink)
    assert np.array_equal(sink.array, whole(network).argmax(0).numpy())
    assert all(k[0].start % 6 == 0 for k in sink.keys)
    batched = np.zeros((1, 24, 20), np.uint8)
    job_of(network, strip=4, blocks=2, post="argmax").run(X.numpy(), batched)
    assert np.array_equal(batched[0], sink.array)


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("compiler", [None, eager_compiler])
def test_spooled_values_replace_the_first_pass(blocks, compiler, tmp_path):
    network = gated()
    job = job_of(network, compiler=compiler, spool=tmp_path / "spool", strip=6, blocks=blocks)
    reads = []

    class Counting:
        shape, dtype = SHAPE, np.dtype(np.float32)

        def __getitem__(self, key):
            reads.append(key[1 + job.plan.axis].stop - key[1 + job.plan.axis].start)
            return X.numpy()[key]

    out = job.run(Counting())
    assert difference(torch.from_numpy(out), whole(network)) <= 5e-5
    assert sum(reads) == SHAPE[1 + job.plan.axis] * blocks
    assert not list((tmp_path / "spool").iterdir())


def test_the_spool_is_emptied_when_a_run_fails(tmp_path):
    def fail(share):
        if share >= 0.5:
            raise KeyError("stopped")

    job = job_of(gated(), spool=tmp_path, strip=6, progress=fail)
    with pytest.raises(KeyError):
        job.run(X.numpy())
    assert not list(tmp_path.iterdir())


def test_segments_and_compiled_functions_are_kept_for_the_next_run():
    network, calls = settled(toy_models.unet(2)), []

    def compiler(module, inputs, outputs):
        calls.append(module)
        return eager_compiler(module, inputs, outputs)

    job = job_of(network, compiler=compiler, strip=4, axis=0)
    first = job.run(X.numpy())
    made = len(calls)
    assert made > 0
    assert len(job.ready.cuts) == 1
    assert job.ready.spare
    again = StreamJob(job.ready, job.plan, job.region, job.options, compiler)
    assert np.array_equal(again.run(X.numpy()), first)
    assert len(calls) == made
    assert len(job.ready.cuts) == 1


def test_what_barriers_gave_is_kept_for_other_regions_of_the_source():
    class Counting:
        shape, dtype = SHAPE, np.dtype(np.float32)
        positions = 0

        def __getitem__(self, key):
            values = X.numpy()[key]
            self.positions += values.size
            return values

    network, known = gated(), {}
    want = whole(network)
    first, later = Counting(), Counting()
    for source, region in ((first, (slice(0, 4), slice(2, 9))), (later, (slice(15, 20), slice(10, 20)))):
        found = job_of(network, region=region, barriers=known).run(source)
        assert difference(torch.from_numpy(found), want[(slice(None), *region)]) <= 5e-5
    assert len(known) == 1
    assert first.positions > X.numel()  # the whole source for the norm, then the region
    assert later.positions < X.numel() / 2


def test_barriers_are_not_kept_together_with_values_on_disk(tmp_path):
    with pytest.raises(UserError, match="leave spool and resume out"):
        Options(barriers={}, spool=tmp_path)
