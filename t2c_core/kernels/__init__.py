"""Splatting and integration as Triton kernels, and the choice between them and torch.

``choose`` decides and is all that other packages import at the top; the kernels themselves are imported where they are
launched, so that nothing needs Triton to be installed.
"""
