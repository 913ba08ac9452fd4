"""Rigid transforms, cameras, boxes and their overlaps."""
