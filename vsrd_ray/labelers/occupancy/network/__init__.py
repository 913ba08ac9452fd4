"""The small image-to-occupancy network: what it learns from, its losses, and labelling with it."""
