"""How good labels of points are: panoptic quality, and whether ids hold over time."""
