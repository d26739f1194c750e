"""Two pixel-aligned pictures: an artistic one and its realistic twin."""
