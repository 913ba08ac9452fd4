"""Reading KITTI-360."""
