"""What a prompt says: directions, what moves, the words for the twin."""
