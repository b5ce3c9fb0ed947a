"""The built-in data and the demonstration of the main job."""
