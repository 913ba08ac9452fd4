"""What comes in: frames, masks, the index, grouping, and the datasets that they are read from."""
