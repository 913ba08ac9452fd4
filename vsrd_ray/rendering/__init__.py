"""Silhouettes by volume rendering: pure functions of tensors, shared by every labeler."""
