import numpy as np
import pytest

from atrous.data.genomes.letters import CODES, COMPLEMENT, IUPAC, NAMES, SHARES, OneHot, encode, one_hot


@pytest.mark.parametrize("letter", IUPAC)
def test_every_letter_is_equal_shares_of_its_bases(letter):
    found = one_hot(encode((letter + letter.lower()).encode()))
    bases = IUPAC[letter]
    want = [1 / len(bases) if base in bases else 0.0 for base in "ACGT"]
    np.testing.assert_allclose(found[:, 0], want, rtol=1e-6)
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    assert found[:, 0].sum() == pytest.approx(1)


def test_what_is_no_letter_has_the_code_zero():
    known = {ord(letter) for letter in IUPAC} | {ord(letter.lower()) for letter in IUPAC}
    assert set(np.flatnonzero(CODES)) == known


def test_complement_exchanges_a_with_t_and_c_with_g():
    for code in range(16):
        np.testing.assert_array_equal(SHARES[COMPLEMENT[code]], SHARES[code][::-1])
    assert [NAMES[int(COMPLEMENT[encode(letter)[0]])] for letter in (b"R", b"K", b"B", b"N")] == ["Y", "M", "V", "N"]


@pytest.mark.parametrize("key", [np.s_[:, 2:5], np.s_[1], np.s_[..., 3], np.s_[::2, ::3], np.s_[2, 4], np.s_[...]])
def test_a_source_slices_as_numpy_does(key):
    codes = encode(b"ACGTNRYac")
    np.testing.assert_array_equal(OneHot(codes, len(codes))[key], one_hot(codes)[key])
