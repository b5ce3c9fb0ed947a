"""What the output channels of a network mean: losses, decoding and figures of merit."""
