"""A trained network at work: inputs, jobs, and one file for each kind of output."""
