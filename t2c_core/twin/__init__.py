"""Two pixel-aligned images: an artistic one and its realistic twin."""
