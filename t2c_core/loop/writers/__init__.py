"""One file per output format. Each offers ``write(frames, target, settings)`` and pulls its frames one at a time."""
