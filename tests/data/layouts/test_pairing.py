import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.data.layouts.pairing import pair

STEMS = st.sets(st.from_regex(r"[a-k0-9]{1,6}", fullmatch=True), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["a", "b"], ["a", "b"]),
        (["scan1", "scan10"], ["scan1_mask", "scan10_mask"]),
        (["case_0000", "dase_0000"], ["case", "dase"]),
        (["21_training", "22_training"], ["21_manual1", "22_manual1"]),
        (["img_7", "img_8"], ["mask_7", "mask_8"]),
        (["sat-1-x", "sat-2-x"], ["map-1", "map-2"]),
        (["site_7_raw", "site_8_raw"], ["truth of_7", "truth of_8"]),
        (["in000001", "in000002"], ["gt000001", "gt000002"]),
        (["s1/a", "s2/a"], ["s1/a", "s2/a"]),
        (["10_training", "20_training"], ["10_manual1", "20_manual1"]),
        (["0001TP_1"], ["0001TP_1_L"]),
    ],
)
def test_usual_names_are_paired_in_order(images, labels):
    found = pair(images, labels)
    assert found.partner == dict(zip(images, labels, strict=True))
    assert not found.images_alone
    assert not found.labels_alone


def test_what_is_ambiguous_or_alone_is_not_paired():
    assert pair(["a", "b"], ["a", "c"]).partner == {"a": "a"}
    assert pair(["a", "b"], ["a", "c"]).images_alone == ("b",)
    assert pair(["a", "b"], ["a", "c"]).labels_alone == ("c",)
    assert pair(["a"], ["a_left", "a_right"]).partner == {}
    assert pair(["s1/a"], ["s2/a"]).partner == {}


def test_letters_with_accents_are_one_name_in_either_form():
    one, two = unicodedata.normalize("NFC", "Größe_á"), unicodedata.normalize("NFD", "Größe_á")
    assert one != two
    assert pair([two], [one]).partner == {two: one}
    assert pair([two], [f"{one}_mask"]).partner == {two: f"{one}_mask"}
    assert pair([one, two], [two, one]).partner == {one: one, two: two}


@settings(deadline=None)
@given(STEMS, st.sampled_from(["", "_mask", "-label", "_gt", ".seg", "_anything"]))
def test_a_suffix_on_every_label_never_loses_or_swaps_a_partner(stems, suffix):
    found = pair(stems, [stem + suffix for stem in stems])
    assert found.partner == {stem: stem + suffix for stem in stems}


@settings(deadline=None)
@given(STEMS, STEMS)
def test_every_name_is_in_a_pair_or_alone_exactly_once(images, labels):
    found = pair(images, labels)
    assert sorted([*found.partner, *found.images_alone]) == sorted(images)
    assert sorted([*found.partner.values(), *found.labels_alone]) == sorted(labels)
