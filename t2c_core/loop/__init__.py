"""Frames into a seamless loop, and the loop into a file."""
