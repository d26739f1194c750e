"""What moves, from pretrained segmentation models of transformers, read from a folder on this machine.

``load.load_model`` makes a `base.SegmentationModel`, ``postprocess`` masks of what it scores.
"""
