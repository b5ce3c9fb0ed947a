"""What a run leaves for people to look at: one page with figures, charts and pictures."""
