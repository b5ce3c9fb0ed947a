import numpy as np
import pytest

from atrous.data.dataset import open_dataset
from atrous.data.feed.batches import Dealt, joined_batch
from atrous.data.feed.genomes import GenomeBatches, decode_genomes, decode_windows, reverse_complement
from atrous.data.genomes.annotation import Feature
from atrous.data.genomes.labels import channels, label, with_bases
from atrous.data.genomes.letters import encode, one_hot
from atrous.labels import IGNORE
from atrous.verbs.opened import open_dataset_from
from tests.genomes import flipped, genome, write_fasta, write_genomes, write_gff, write_signal_tracks, write_track

NAMES = channels(("CDS", "tRNA"))


def test_the_other_strand_is_labeled_as_its_own_annotation_says():
    rng = np.random.default_rng(0)
    text, genes = genome(rng, 1000)
    length = len(text)

    def labeled(found):
        features = [Feature("s", "CDS", ((a, b),), s, pseudo=i == 1) for i, (a, b, s) in enumerate(found)]
        features.append(Feature("s", "tRNA", ((0, 9),) if found is genes else ((length - 9, length),)))
        bases = encode((text if found is genes else flipped(text)).encode())
        return with_bases(label(features, NAMES, length), bases)

    turned = [(length - b, length - a, "-" if s == "+" else "+") for a, b, s in genes]
    tracks = rng.random((2, length)).astype(np.float32)
    image = np.concatenate([one_hot(encode(text.encode())), tracks])
    seen, labels = reverse_complement(image, labeled(genes))
    np.testing.assert_array_equal(seen[:4], one_hot(encode(flipped(text).encode())))
    np.testing.assert_array_equal(seen[4:], tracks[:, ::-1])
    np.testing.assert_array_equal(labels, labeled(turned))
    again, back = reverse_complement(seen, labels)
    np.testing.assert_array_equal(again, image)
    np.testing.assert_array_equal(back, labeled(genes))


def test_batches_hang_on_seed_and_step_alone_and_crops_are_the_sequence(tmp_path):
    dataset = open_dataset(write_genomes(tmp_path, 3, 3000))
    decoded = decode_genomes(dataset, dataset.splits["train"])
    batches = GenomeBatches(decoded, 600, False, 4, 7)
    one, two = batches[5], GenomeBatches(decoded, 600, False, 4, 7)[5]
    assert one.images.equal(two.images)
    assert one.targets.equal(two.targets)
    assert not one.images.equal(batches[6].images)
    assert one.images.shape == (4, 4, 600)
    for image, labels in zip(one.images.numpy(), one.targets.numpy(), strict=True):
        hits = [
            (np.asarray(source[:, at : at + 600]) == image).all() and (whole[at : at + 600] == labels).all()
            for source, whole in zip(decoded.images, decoded.values, strict=True)
            for at in range(len(whole) - 599)
        ]
        assert sum(hits) == 1
    assert batches.per_epoch == round(sum(len(whole) for whole in decoded.values) / 2400)
    both = GenomeBatches(decoded, 600, True, 5, 7)
    parts = [Dealt(both, 5, rank, 2)[3] for rank in range(2)]
    assert [len(part.images) for part in parts] == [3, 2]
    assert joined_batch(parts).images.equal(both[3].images)
    assert joined_batch(parts).targets.equal(both[3].targets)


def test_short_sequences_are_continued_by_unknown_bases(tmp_path):
    write_fasta(tmp_path / "x.fa", {"x": "ACGTA"})
    write_gff(tmp_path / "x.gff", [("x", "CDS", 1, 3, "+", "ID=1")])
    dataset = open_dataset(tmp_path)
    batch = GenomeBatches(decode_genomes(dataset, dataset.splits["train"]), 9, False, 1, 0)[0]
    np.testing.assert_array_equal(batch.images[0, :, 5:], np.full((4, 4), 0.25))
    assert (batch.targets[0] & 0xFF).tolist() == [1, 1, 1, 0, 0, *[IGNORE] * 4]


def test_windows_cover_short_sequences_whole(tmp_path):
    dataset = open_dataset(write_genomes(tmp_path, 3, 3000))
    windows, share = decode_windows(dataset, dataset.splits["val"])
    assert share == 1
    assert windows.names == tuple(f"{sample.name}/0" for sample in dataset.splits["val"])


def test_signals_on_the_other_strand_are_reversed_and_those_of_two_strands_exchanged():
    rng = np.random.default_rng(0)
    image, signals = rng.random((5, 20)).astype(np.float32), rng.random((3, 20)).astype(np.float32)
    signals[0, 4] = np.nan
    seen, turned = reverse_complement(image, signals, (0, 2, 1))
    np.testing.assert_array_equal(seen, np.concatenate([image[3::-1], image[4:]])[:, ::-1])
    np.testing.assert_array_equal(turned, signals[[0, 2, 1], ::-1])
    again, back = reverse_complement(seen, turned, (0, 2, 1))
    np.testing.assert_array_equal(again, image)
    np.testing.assert_array_equal(back, signals)


@pytest.mark.parametrize("held", [True, False])
def test_crops_of_signals_are_those_of_the_files_in_memory_or_not(tmp_path, held, monkeypatch):
    dataset = open_dataset_from(write_signal_tracks(tmp_path, 3, 2000, names=("a", "b")), task="regression")
    monkeypatch.setattr("atrous.data.feed.genomes.memory_limit", lambda: 1 << 30 if held else 0)
    decoded = decode_genomes(dataset, dataset.splits["train"])
    assert all(isinstance(values, np.ndarray) == held for values in decoded.values)
    batch = GenomeBatches(decoded, 600, False, 4, 7)[5]
    assert batch.targets.shape == (4, 2, 600)
    assert batch.targets.dtype.is_floating_point
    whole = [(sample.image.load()[...], sample.target.read()) for sample in dataset.splits["train"]]
    for image, values in zip(batch.images.numpy(), batch.targets.numpy(), strict=True):
        hits = [
            (bases[:, at : at + 600] == image).all() and (truth[:, at : at + 600] == values).all()
            for bases, truth in whole
            for at in range(1401)
        ]
        assert sum(hits) == 1
    windows, share = decode_windows(dataset, dataset.splits["val"])
    assert share == 1
    np.testing.assert_array_equal(windows.values[0], dataset.splits["val"][0].target.read())


def test_beyond_a_short_sequence_its_signals_are_unknown(tmp_path):
    write_fasta(tmp_path / "x.fa", {"x": "ACGTA"})
    write_track(tmp_path / "x.bw", {"x": np.arange(5.0)})
    dataset = open_dataset_from(tmp_path, task="regression")
    targets = GenomeBatches(decode_genomes(dataset, dataset.samples), 9, True, 8, 0, (0,))[0].targets.numpy()
    assert np.isnan(targets).sum(axis=(1, 2)).tolist() == [4] * 8
    starts = {row[0, 0] for row in targets if np.isfinite(row[0, 0])}
    assert starts == {0.0}
    assert any(row[0, -1] == 0 for row in targets)  # read on the other strand
