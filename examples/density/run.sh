#!/usr/bin/env bash
# Depth of every frame and voxels of density, from a stereo pair: labels, their quality, a film, 16-bit depth.
set -euo pipefail

vsrd-ray synthesize street --frames 3 --image-size 352x96 --texture rich --layers depth,right,occupancy
vsrd-ray label --serial --root street --sequence 2013_05_28_drive_0000_sync --config density --output fields
vsrd-ray evaluate fields --root street
vsrd-ray render fields --root street --what transition
vsrd-ray export fields --root street --format depth-png --output depth
