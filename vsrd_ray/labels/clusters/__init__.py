"""Clusters of LiDAR points: a row for each object in each sweep."""
