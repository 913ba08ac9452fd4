"""Labels of LiDAR points: a class and an instance for each, a row for each sweep."""
