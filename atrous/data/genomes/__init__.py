"""Genomes: sequences in FASTA, what lies on them in GFF3, BED and bigWig, as per-base arrays."""
