"""Labelers: a frame group in, boxes out."""
