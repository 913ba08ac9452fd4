#!/usr/bin/env bash
# 3D boxes of parked and moving cars, from instance masks and camera poses: labels, their quality, a report, a dataset.
set -euo pipefail

vsrd-ray synthesize street --frames 24 --cars 6 --moving 1 --image-size 352x96
vsrd-ray label --serial --root street --sequence 2013_05_28_drive_0000_sync --output boxes
vsrd-ray evaluate boxes --root street
vsrd-ray report boxes --root street
vsrd-ray export boxes --root street --format kitti --output kitti
