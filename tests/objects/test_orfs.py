"""Candidates of genes, against a loop over every start codon, in pieces of any size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.objects.genetic_code import genetic_code
from atrous.objects.orfs import ALIKE, COLUMNS, EVIDENCE, EvidenceStream, OrfScanner, coding_odds, log_odds
from tests.genomes import flipped, numbers, random_bases


def by_loop(text, evidence, code, shortest, longest):
    """Rows (start, end, strand, score, coding, phase, cut) of all candidates with a positive score, one by one."""
    length, rows = len(text), set()
    for strand in (0, 1):
        read = text if strand == 0 else flipped(text)
        own = evidence[strand::2] if strand == 0 else evidence[strand::2, ::-1]  # frames, start, stop, as it is read
        odds = log_odds(own)
        coding = coding_odds(own[:3])
        for frame in range(3):
            groups = {}
            for start in [-1, *range(frame, length - 2, 3)]:
                cut = start < 0
                if not cut and read[start : start + 3] not in code.starts:
                    continue
                first = 0 if cut else start
                codons = range(frame if cut else start, length - 2, 3)
                stop = next((place for place in codons if read[place : place + 3] in code.stops), None)
                end = length if stop is None else stop + 3
                if shortest <= end - first <= longest:
                    groups.setdefault((stop, end), []).append((first, cut, 0 if cut else int(odds[3, start])))
            for (stop, end), starts in groups.items():
                best = max(value for *_, value in starts)
                for first, cut, value in starts:
                    total = sum(int(coding[(base - frame) % 3, base]) for base in range(first, end))
                    score = (0 if stop is None else int(odds[4, end - 1])) + value - best + total // ALIKE
                    if score > 0:
                        left, right = (first, end) if strand == 0 else (length - end, length - first)
                        phase = frame if cut else 0
                        rows.add((left, right, strand, score, total, phase, cut + 2 * (stop is None)))
    return rows


def scanned(text, evidence, code, shortest, longest, edges):
    stream, scanner = EvidenceStream(), OrfScanner(code, shortest, longest)
    rows, frontier = [], 0
    for start, stop in zip([0, *edges], [*edges, len(text)], strict=True):
        found = scanner.add(stream.push(numbers(text[start:stop]), evidence[:, start:stop]))
        assert (found[:, 0] >= frontier).all()
        assert scanner.frontier >= frontier
        frontier = scanner.frontier
        rows.append(found)
    last = scanner.finish(stream.sums)
    assert (last[:, 0] >= frontier).all()
    return np.concatenate([*rows, last])


@given(
    st.integers(0, 2**32 - 1), st.integers(0, 160), st.lists(st.integers(0, 160), max_size=6), st.sampled_from([4, 11])
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_candidates_are_those_of_a_loop_for_pieces_of_any_size(seed, length, edges, number):
    rng = np.random.default_rng(seed)
    text = "".join(rng.choice(list("ATTGGNC"), length)) if length else ""
    evidence = rng.random((EVIDENCE, length)).astype(np.float32) ** rng.choice([0.3, 1.0])
    shortest, longest, code = int(rng.integers(3, 20)), int(rng.integers(30, 200)), genetic_code(number)
    rows = scanned(text, evidence, code, shortest, longest, sorted(min(edge, length) for edge in edges))
    assert rows.shape[1] == COLUMNS
    assert len(rows) == len(set(map(tuple, rows.tolist())))
    assert set(map(tuple, rows.tolist())) == by_loop(text, evidence, code, shortest, longest)


def test_memory_does_not_grow_in_a_frame_without_stop_codons():
    code, unit = genetic_code(11), "ATGGCG" * 200
    stream, scanner = EvidenceStream(), OrfScanner(code, 30, 3000)
    evidence = np.full((EVIDENCE, len(unit)), 0.1, np.float32)
    for _ in range(20):
        scanner.add(stream.push(numbers(unit), evidence))
    held = sum(starts.shape[1] for starts in scanner._starts.values())
    assert held < 3000
    assert scanner.frontier >= 20 * len(unit) - 3001


def test_log_odds_are_those_of_the_formula():
    shares = np.linspace(0.001, 0.999, 500)
    np.testing.assert_allclose(log_odds(shares) / 1000, np.log(shares / (1 - shares)), atol=5e-3)
    assert log_odds(np.array([0.0, 1.0])).tolist() == [-10000, 10000]


def test_evidence_of_a_frame_is_that_of_the_formula():
    shares = np.random.default_rng(0).dirichlet([1, 1, 1, 1], 400).T[:3]
    total = shares.sum(0)
    want = np.clip(np.log(total / (1 - total)), -3, 3) + np.log(shares / total)
    known = (shares > 0.003).all(0)  # smaller parts count as exp(-6) of the whole
    np.testing.assert_allclose(coding_odds(shares)[:, known] / 1000, want[:, known], atol=0.02)
    assert known.mean() > 0.9
    assert (coding_odds(np.full((3, 1), 0.9)) <= 3000 - 1098).all()  # sums beyond 1 say no more than 1


@pytest.mark.parametrize("size", [1, 2, 7])
def test_sums_do_not_depend_on_the_size_of_pieces(size):
    rng = np.random.default_rng(1)
    bases, evidence = numbers(random_bases(rng, 100)), rng.random((EVIDENCE, 100)).astype(np.float32)
    whole, parts = EvidenceStream(), EvidenceStream()
    want = whole.push(bases, evidence)
    for start in range(0, 100, size):
        piece = parts.push(bases[start : start + size], evidence[:, start : start + size])
        np.testing.assert_array_equal(piece.sums, want.sums[..., piece.first : piece.stop + 1])
        np.testing.assert_array_equal(piece.codons, want.codons[piece.first : max(piece.first, piece.stop - 2)])
    np.testing.assert_array_equal(parts.sums, whole.sums)
