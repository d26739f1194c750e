"""Splatting and integration as Triton kernels, and the choice between them and torch.

Other packages import ``dispatch`` only; the kernels are imported where they are launched, so that nothing needs Triton
to be installed.
"""
