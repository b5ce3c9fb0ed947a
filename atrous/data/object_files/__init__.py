"""Annotation files of objects (boxes, outlines, points), all read into one form: `AnnotatedImage`."""
