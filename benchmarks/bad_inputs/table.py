"""The mistakes of all kinds of data."""

from benchmarks.bad_inputs import (
    annotations,
    edges,
    files,
    folders,
    genomes,
    images,
    maps,
    masks,
    objects,
    points,
    rotated,
    signals,
    videos,
    volumes,
)

MISTAKES = (
    *masks.MISTAKES,
    *objects.MISTAKES,
    *annotations.MISTAKES,
    *points.MISTAKES,
    *edges.MISTAKES,
    *rotated.MISTAKES,
    *images.MISTAKES,
    *files.MISTAKES,
    *folders.MISTAKES,
    *signals.MISTAKES,
    *volumes.MISTAKES,
    *maps.MISTAKES,
    *genomes.MISTAKES,
    *videos.MISTAKES,
)
