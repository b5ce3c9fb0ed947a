"""The command line: one file per verb, forwarding only."""
