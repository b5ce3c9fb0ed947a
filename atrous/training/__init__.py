"""The training loop and its parts: schedule, averaged weights, checkpoints and log."""
