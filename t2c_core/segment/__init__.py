"""What moves: masks of the fluid."""
