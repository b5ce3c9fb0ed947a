"""Search for networks and recipes: what varies, what is refused untrained, what is tried next, what is kept."""
