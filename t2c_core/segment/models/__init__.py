"""What moves, from pretrained segmentation models of transformers, read from a folder on this machine.

A backend is a torch module made by ``load.load_model``; all answer `Model.scores` with maps of probability for words.
``find.regions_in`` turns these into masks at the picture's size.
"""
