"""The training loop and what it needs: schedule, averaged weights, checkpoints, log."""
