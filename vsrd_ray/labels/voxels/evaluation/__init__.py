"""How good voxels are: Occ3D, SSCBench, RayIoU."""
