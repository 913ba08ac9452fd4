"""Files of VSRD's published tools, which are files beside those of KITTI-360: annotations and groupings."""
