#!/usr/bin/env bash
# Class, free or unknown of every voxel, from class maps and depth: labels, their quality, a film, Occ3D's files.
set -euo pipefail

vsrd-ray synthesize street --frames 4 --mask-noise 0 --layers depth,lidar,semantics,occupancy
vsrd-ray label --serial --root street --sequence 2013_05_28_drive_0000_sync --config occupancy --set error=0 --output voxels
vsrd-ray evaluate voxels --root street
vsrd-ray visualize voxels voxels --root street --to voxels.mp4
vsrd-ray export voxels --root street --format occ3d --output occ3d
