"""Interactive segmentation: a mask from a few strokes."""
