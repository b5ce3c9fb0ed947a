"""From samples to training batches: decode, draw views, augment, batch."""
