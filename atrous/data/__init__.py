"""Data sets as folders: formats, layouts, the data doctor, and what feeds a training step."""
