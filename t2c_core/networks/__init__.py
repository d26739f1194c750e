"""The published Text2Cinemagraph networks and the loading of their checkpoints."""
