"""What the output channels of a network mean: losses, decoding and metrics."""
