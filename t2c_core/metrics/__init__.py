"""Measures of finished loops."""
