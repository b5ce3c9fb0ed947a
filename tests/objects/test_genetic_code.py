import numpy as np
import pytest

from atrous.errors import UserError
from atrous.objects.genetic_code import NUMBERS, STARTS, codon_numbers, codon_table, genetic_code, require_codes
from tests.genomes import flipped, numbers, random_bases


@pytest.mark.parametrize("number", NUMBERS)
def test_the_codes_are_those_of_ncbi(number):
    peer = pytest.importorskip("Bio.Data.CodonTable").unambiguous_dna_by_id[number]
    code = genetic_code(number)
    assert set(code.stops) == set(peer.stop_codons)
    assert set(code.starts) == set(peer.start_codons) & set(STARTS)


def test_every_code_of_ncbi_is_known():
    peer = pytest.importorskip("Bio.Data.CodonTable").unambiguous_dna_by_id
    assert set(NUMBERS) == set(peer)
    assert NUMBERS[:2] == (11, 4)


def test_codons_are_found_on_either_strand():
    text = random_bases(np.random.default_rng(0), 300) + "NATNG"
    codons = codon_numbers(numbers(text))
    for reverse in (False, True):
        found = codon_table(("ATG", "TGA"), reverse=reverse)[codons]
        want = [(flipped(text[i : i + 3]) if reverse else text[i : i + 3]) in ("ATG", "TGA") for i in range(303)]
        assert found.tolist() == want
    assert codon_numbers(numbers("AT")).shape == (0,)


def test_unknown_codes_are_named():
    with pytest.raises(UserError, match="7 is no genetic code of NCBI"):
        genetic_code(7)
    with pytest.raises(UserError, match="each once"):
        require_codes([11, 11])
