"""What variants change: the network's scores around each, of the alternative sequence less those of the reference.

An output depends on the bases within its halo (`geometry/field.py`). So a variant changes the outputs within one halo
of it alone, and these depend on the bases within two. That window is read from the file and computed twice, with and
without the variant. It begins at a whole codon, and where the sequence begins or ends so does the window: the outputs
are those of the whole sequences. An insertion or deletion that is no whole number of codons also moves the bases behind
it on the network's grid of codons; what that changes beyond the halo is not looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from atrous.data.formats import FileFault
from atrous.data.genomes.fasta import open_sequence, sequence_lengths
from atrous.data.genomes.letters import NAMES, encode, one_hot
from atrous.data.genomes.variants import Variant, agree, read_variants
from atrous.errors import UserError
from atrous.files import replacing
from atrous.geometry.field import axis_field, margins
from atrous.geometry.graph import export_graph
from atrous.geometry.layout import followed
from atrous.geometry.lower import lower
from atrous.models.network import DenseNetwork
from atrous.prediction.predictor import Predictor
from atrous.tasks.custom import gene_rules, value_task

END_NAMES = ("start+", "start-", "stop+", "stop-")
"""Outputs for the ends of genes."""
_CERTIFIED = 12_288
"""Bases of the sequence on which the geometry of the network is looked at."""


@dataclass(frozen=True, eq=False)
class Effect:
    """What a variant changes.

    Attributes:
        variant: the variant.
        changes: for each output, the change that is greatest in size: `(K,)`. Of features and ends of genes it is one
            of log-odds (natural logarithm), of a regression one of the value.
        places: the base of the reference at which each of them is, counted from 0, `(K,)`.
    """

    variant: Variant
    changes: np.ndarray
    places: np.ndarray


class VariantScorer:
    """Computes the effects of variants on the sequences of a FASTA file.

    Args:
        predictor: the network.
        fasta: the file of the reference.
        vcf: the file of the variants, for messages.

    Raises:
        UserError: the network sees the whole sequence, or reads signals beside the bases.
    """

    def __init__(self, predictor: Predictor, fasta: Path, vcf: Path) -> None:
        recipe = predictor.run.recipe
        if recipe.input.tracks:
            raise UserError(f"--variants: the network also reads {recipe.input.tracks[0]}, which variants do not have")
        self._predictor, self._fasta, self._vcf = predictor, fasta, vcf
        self._lengths = sequence_lengths(fasta)
        self._step = cast(DenseNetwork, predictor.network).stride[0]
        shape = (recipe.model.in_channels, _CERTIFIED // self._step * self._step)
        _, axes, refused = followed(lower(export_graph(predictor.inner, shape)))
        if 0 in refused or axes[0].barriers:
            why = refused[0] if 0 in refused else axes[0].barriers[0].kind
            raise UserError(f"--variants: an output of this network sees the whole sequence ({why}): leave it out")
        self._before, self._after = axis_field(axes[0]).halo
        self._margins = margins(axes[0])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs that are compared."""
        numbers = value_task(self._predictor.task)
        if numbers is not None:
            return numbers.names
        ends = END_NAMES if gene_rules(self._predictor.task) is not None else ()
        return (*self._predictor.classes, *ends)

    def effect(self, variant: Variant) -> Effect:
        """Return what a variant changes.

        Raises:
            UserError: its sequence or its bases are not those of the FASTA file.
        """
        length = self._checked(variant)
        start = max(0, variant.place - self._after - self._margins[0]) // self._step * self._step
        stop = min(length, variant.end + self._before + self._margins[1] + self._step)
        bases = np.asarray(open_sequence(self._fasta, variant.sequence).codes[start:stop])
        low, high = variant.place - start, variant.end - start
        changed = np.concatenate([bases[:low], encode(variant.alternative.encode()), bases[high:]])
        shift = len(changed) - len(bases)
        # Bases that both sequences have, and that the variant can change.
        first, last = max(0, low - self._after), min(len(bases), high + self._before)
        kept = np.arange(first, last)
        if shift:
            kept = kept[(kept < low) | (kept >= high)]
        partner = kept + np.where(kept >= high, shift, 0)
        if not len(kept):
            return Effect(variant, np.zeros(len(self.names)), np.full(len(self.names), variant.place))
        change = self._scores(changed)[:, partner] - self._scores(bases)[:, kept]
        greatest = np.abs(change).argmax(axis=1)
        return Effect(variant, change[np.arange(len(change)), greatest], start + kept[greatest])

    def _scores(self, codes: np.ndarray) -> np.ndarray:
        """The outputs `(K, n)` of a window, of features before the sigmoid."""
        output = self._predictor.output(one_hot(codes))
        numbers = value_task(self._predictor.task)
        if numbers is not None:
            return self._predictor.task.probabilities(output)[0].cpu().numpy()
        rows = output[0].cpu().numpy()
        count = len(self._predictor.classes)
        return np.concatenate([rows[:count], rows[-len(END_NAMES) :]]) if len(self.names) > count else rows[:count]

    def _checked(self, variant: Variant) -> int:
        """The length of the variant's sequence."""
        length = self._lengths.get(variant.sequence)
        if length is None:
            known = ", ".join(list(self._lengths)[:3])
            what = f"line {variant.line}: {self._fasta.name} has no sequence {variant.sequence}"
            raise FileFault(self._vcf, what, f"name them alike: it has {known}")
        if variant.end > length:
            what = f"line {variant.line}: it ends at {variant.end}, behind the {length} bases of {variant.sequence}"
            raise FileFault(self._vcf, what, "give the variants of this very sequence")
        codes = np.asarray(open_sequence(self._fasta, variant.sequence).codes[variant.place : variant.end])
        if not agree(encode(variant.reference.encode()), codes):
            there = "".join(NAMES[code] for code in codes.tolist())
            what = f"line {variant.line}: REF is {variant.reference}, but {self._fasta.name} has {there} there"
            raise FileFault(self._vcf, what, "give the variants of this very sequence")
        return length


def write_effects(scorer: VariantScorer, vcf: Path, out: Path) -> int:
    """Write a table with the effect of every variant, and return how many there are.

    The columns are those of VCF, then the greatest change over all outputs, and for each output its greatest change and
    where it is, counted from 1.

    Args:
        scorer: computes the effects.
        vcf: the variants.
        out: the table, separated by tabs; it is renamed when it is complete.

    Raises:
        UserError: a file cannot be read, or the variants are not those of the FASTA file.
    """
    count, names = 0, scorer.names
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as beside, beside.open("w", encoding="utf-8") as file:
        columns = [column for name in names for column in (name, f"{name}_at")]
        _write_row(file, ["sequence", "position", "id", "reference", "alternative", "effect", *columns])
        for variant in read_variants(vcf):
            effect = scorer.effect(variant)
            row = [variant.sequence, variant.place + 1, variant.name, variant.reference, variant.alternative]
            cells = zip(effect.changes.tolist(), effect.places.tolist(), strict=True)
            numbers = [cell for change, place in cells for cell in (f"{change:.4f}", place + 1)]
            _write_row(file, [*row, f"{np.abs(effect.changes).max():.4f}", *numbers])
            count += 1
    return count


def _write_row(file: Any, cells: Sequence[Any]) -> None:
    file.write("\t".join(map(str, cells)) + "\n")
