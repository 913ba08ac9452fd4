"""Drawing primitives: boxes and masks on images, the street from above, and videos."""
