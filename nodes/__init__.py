"""The ComfyUI nodes: sockets, tooltips, progress and device; the work is done in t2c_core."""
