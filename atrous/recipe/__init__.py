"""The recipe of a run: what it holds, how it is planned, built, written and read."""
