import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.genomes.annotation import Feature
from atrous.data.genomes.labels import channels, in_order, label, with_bases
from atrous.data.genomes.letters import encode
from atrous.labels import BASE_BIT, IGNORE, START_BIT, STOP_BIT

NAMES = channels(("CDS", "tRNA"))


def sets(labels):
    return (labels & 0xFF).tolist()


def frames(labels):
    high = labels >> 8
    return (high & 3).tolist(), (high >> 2 & 3).tolist()


def test_a_base_may_have_several_features_on_either_strand():
    found = [
        Feature("s", "CDS", ((1, 7),), "+"),
        Feature("s", "CDS", ((5, 8),), "-"),
        Feature("s", "tRNA", ((7, 9),), "."),
        Feature("s", "gene", ((0, 10),), "+"),
    ]
    assert sets(label(found, NAMES, 10)) == [0, 1, 1, 1, 1, 3, 3, 2 + 12, 12, 0]


def test_codons_are_counted_from_the_start_of_either_strand():
    plus, minus = frames(label([Feature("s", "CDS", ((1, 7),), "+"), Feature("s", "CDS", ((4, 10),), "-")], NAMES, 10))
    assert plus == [0, 1, 2, 3, 1, 2, 3, 0, 0, 0]
    assert minus == [0, 0, 0, 0, 3, 2, 1, 3, 2, 1]


def test_the_frame_goes_on_across_a_joint_and_across_the_origin():
    joined, _ = frames(label([Feature("s", "CDS", ((0, 4), (5, 7)), "+")], NAMES, 8))
    assert joined == [1, 2, 3, 1, 0, 2, 3, 0]
    for parts in (((7, 10), (0, 3)), ((7, 13),)):
        plus, _ = frames(label([Feature("s", "CDS", parts, "+", circular=True)], NAMES, 10))
        assert plus == [1, 2, 3, 0, 0, 0, 0, 1, 2, 3]
        _, minus = frames(
            label(
                [Feature("s", "CDS", ((0, 3), (6, 10)) if len(parts) > 1 else ((6, 13),), "-", circular=True)],
                NAMES,
                10,
            )
        )
        assert minus == [3, 2, 1, 0, 0, 0, 1, 3, 2, 1]
        assert sets(label([Feature("s", "CDS", parts, "+", circular=True)], NAMES, 10)) == [
            1,
            1,
            1,
            0,
            0,
            0,
            0,
            1,
            1,
            1,
        ]


def test_the_phase_says_where_the_first_codon_begins():
    plus, _ = frames(label([Feature("s", "CDS", ((0, 5),), "+", phase=2)], NAMES, 5))
    assert plus == [2, 3, 1, 2, 3]


def test_pseudogenes_count_for_nothing_where_their_kind_is_learned():
    found = [Feature("s", "CDS", ((2, 5),), "+", pseudo=True), Feature("s", "CDS", ((0, 4),), "-")]
    assert sets(label(found, NAMES, 6)) == [2, 2, IGNORE, IGNORE, IGNORE, 0]
    assert sets(label([Feature("s", "gene", ((0, 4),), "+", pseudo=True)], NAMES, 4)) == [0] * 4


def test_features_that_are_called_pseudogenes_count_for_nothing():
    found = [Feature("s", "pseudogene", ((2, 5),), "+", pseudo=True), Feature("s", "CDS", ((0, 3),), "-")]
    assert sets(label(found, NAMES, 6)) == [2, 2, IGNORE, IGNORE, IGNORE, 0]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), min_size=1, max_size=4), st.sampled_from("+-"))
def test_parts_are_read_as_hand_made_truth_says(gaps, strand):
    at, parts = 0, []
    for gap, size in gaps:
        parts.append((at + gap + 1, at + gap + 1 + size))
        at += gap + 1 + size
    feature = Feature("s", "CDS", tuple(parts), strand)
    labels = label([feature], NAMES, at + 1)
    bases = [base for start, end in sorted(parts) for base in range(start, end)]
    bases = bases if strand == "+" else bases[::-1]
    truth = np.zeros(at + 1, int)
    for number, base in enumerate(bases):
        truth[base] = number % 3 + 1
    assert list(frames(labels)["+-".index(strand)]) == truth.tolist()
    assert in_order(feature, at + 1) == (sorted(parts) if strand == "+" else sorted(parts)[::-1])


def test_on_a_linear_sequence_nothing_goes_on_at_the_origin():
    for strand in "+-":
        for parts in (((7, 13),), ((0, 3), (7, 10))):
            labels = label([Feature("s", "CDS", parts, strand)], NAMES, 10)
            inside = np.zeros(10, bool)
            for start, end in parts:
                inside[start:end] = True
            assert ((labels & 0xFF) != 0).tolist() == inside.tolist()
    plus, _ = frames(label([Feature("s", "CDS", ((7, 13),), "+")], NAMES, 10))
    assert plus == [0, 0, 0, 0, 0, 0, 0, 1, 2, 3]
    _, minus = frames(label([Feature("s", "CDS", ((6, 11),), "-")], NAMES, 10))  # read from base 10, which is cut off
    assert minus == [0, 0, 0, 0, 0, 0, 2, 1, 3, 2]


@given(st.lists(st.integers(1, 9), min_size=2, max_size=4), st.sampled_from("+-"), st.integers(0, 2))
def test_phases_of_parts_say_the_same_as_going_on_from_part_to_part(sizes, strand, phase):
    starts = np.cumsum([0, *(size + 2 for size in sizes)])[:-1]
    parts = [(int(start), int(start + size)) for start, size in zip(starts, sizes, strict=True)]
    length = parts[-1][1]
    read, phases = 0, {}
    for start, end in parts if strand == "+" else parts[::-1]:
        phases[start, end] = (phase - read) % 3
        read += end - start
    shown = Feature("s", "CDS", tuple(parts), strand, phase=phase)
    said = Feature("s", "CDS", tuple(parts), strand, phase=phase, phases=tuple(phases[part] for part in parts))
    assert label([shown], NAMES, length).tolist() == label([said], NAMES, length).tolist()


def test_parts_have_phases_of_their_own_unless_all_are_zero_and_cannot_be():
    slipped = Feature("s", "CDS", ((0, 4), (4, 9)), "+", phases=(0, 1))  # not what goes on from four bases
    assert frames(label([slipped], NAMES, 9))[0] == [1, 2, 3, 1, 3, 1, 2, 3, 1]
    zeros = Feature("s", "CDS", ((0, 4), (4, 9)), "+", phases=(0, 0))
    assert frames(label([zeros], NAMES, 9))[0] == [1, 2, 3, 1, 2, 3, 1, 2, 3]


def ends(labels):
    """Bases that are the first of a gene on + and -, and the last one on both."""
    return [np.flatnonzero(labels >> bit & 1).tolist() for bit in (START_BIT, START_BIT + 1, STOP_BIT, STOP_BIT + 1)]


def test_the_first_and_the_last_base_of_a_gene_are_marked():
    found = [
        Feature("s", "CDS", ((1, 7),), "+"),
        Feature("s", "CDS", ((6, 12),), "+"),
        Feature("s", "CDS", ((4, 10),), "-"),
        Feature("s", "CDS", ((13, 16),), "-", pseudo=True),
        Feature("s", "tRNA", ((0, 3),), "+"),
    ]
    assert ends(label(found, NAMES, 20)) == [[1, 6], [9], [6, 11], [4]]
    joined = [Feature("s", "CDS", ((0, 4), (5, 7)), "+"), Feature("s", "CDS", ((8, 10), (12, 16)), "-")]
    assert ends(label(joined, NAMES, 20)) == [[0], [15], [6], [8]]


def test_ends_across_the_origin_and_beyond_the_sequence():
    assert ends(label([Feature("s", "CDS", ((7, 13),), "+", circular=True)], NAMES, 10)) == [[7], [], [2], []]
    assert ends(label([Feature("s", "CDS", ((7, 13),), "-", circular=True)], NAMES, 10)) == [[], [2], [], [7]]
    assert ends(label([Feature("s", "CDS", ((7, 13),), "+")], NAMES, 10)) == [[7], [], [], []]
    spliced = [Feature("s", "CDS", ((1, 4),), "+", bases=9, phases=(0,))]
    assert ends(label(spliced, NAMES, 10)) == [[], [], [], []]


def test_bases_stand_above_everything_else():
    plain = label([Feature("s", "CDS", ((1, 7),), "+")], NAMES, 8)
    found = with_bases(plain, encode(b"ACGTNRac"))
    assert (found >> BASE_BIT).tolist() == [1, 2, 3, 4, 0, 0, 1, 2]
    assert (found & 0xFFFF).tolist() == plain.tolist()
