"""Text2Cinemagraph (arXiv 2307.03190) as a library: picture in, seamless cinemagraph out. Never imports ComfyUI."""

__version__ = "0.1.0"
