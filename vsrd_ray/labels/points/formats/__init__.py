"""Labels of points as others read them."""
