import numpy as np

from atrous.data.dataset import open_dataset
from atrous.data.feed.genomes import GenomeBatches, decode_genomes, decode_windows, reverse_complement
from atrous.data.genomes.annotation import Feature
from atrous.data.genomes.labels import channels, label
from atrous.data.genomes.letters import encode, one_hot
from atrous.labels import IGNORE
from tests.genomes import flipped, genome, write_fasta, write_genomes, write_gff

NAMES = channels(("CDS", "tRNA"))


def test_the_other_strand_is_labeled_as_its_own_annotation_says():
    rng = np.random.default_rng(0)
    text, genes = genome(rng, 1000)
    length = len(text)

    def labeled(found):
        features = [Feature("s", "CDS", ((a, b),), s, pseudo=i == 1) for i, (a, b, s) in enumerate(found)]
        return label(
            [*features, Feature("s", "tRNA", ((0, 9),) if found is genes else ((length - 9, length),))], NAMES, length
        )

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
