"""Objects from dense maps: the same objects whatever the strips, blocks or processes in which the maps come."""
