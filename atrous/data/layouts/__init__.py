"""From a folder to samples: one file for each layout."""
