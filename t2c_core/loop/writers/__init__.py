"""One file per output format. Each offers ``write(frames, target, encoding)`` and pulls its frames one at a time."""
