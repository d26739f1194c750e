"""Photographs made into paintings."""
