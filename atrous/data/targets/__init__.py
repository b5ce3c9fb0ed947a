"""What is known of a sample: one file for each kind of target."""
