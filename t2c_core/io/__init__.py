"""Files: reading and writing images, masks and weights."""
