"""Built-in data, and a demo that trains on them and predicts."""
