from pathlib import Path

import pytest

from atrous.data.genomes.track_rule import TrackRule, lone_strand, parse_tracks, partners_of, strand_pairs_of

TOML = Path("dataset.toml")


@pytest.mark.parametrize(
    ("names", "partners"),
    [
        (("dnase",), (0,)),
        (("a+", "a-"), (1, 0)),
        (("cage.fwd", "other", "cage.rev"), (2, 1, 0)),
        (("a.Plus", "b_minus", "a.minus", "b_plus"), (2, 3, 0, 1)),
        (("rna.pos", "rna"), (0, 1)),  # `pos` may mean a position
        (("rna.plus", "rna"), ()),
        (("plus", "minus"), (1, 0)),
    ],
)
def test_names_say_what_a_signal_is_on_the_other_strand(names, partners):
    assert partners_of(names, TrackRule()) == partners
    for one, other in enumerate(partners):
        assert partners[other] == one


def test_dataset_toml_says_it_where_names_do_not():
    rule = parse_tracks({"strands": [["x", "y"]]}, TOML)
    assert partners_of(("x", "y", "rna.plus"), rule) == (1, 0, 2)
    assert partners_of(("x", "y"), parse_tracks({"strands": False}, TOML)) == ()
    assert partners_of(("a+", "a-"), parse_tracks({"strands": []}, TOML)) == (0, 1)


def test_a_pair_of_which_one_is_an_input_has_no_partner():
    assert partners_of(("a+",), TrackRule()) == ()
    assert strand_pairs_of(("a+", "a-")) == (("a+", "a-"),)
    assert lone_strand(("a+", "a-"), (("a+", "a-"),)) is None
