#!/usr/bin/env bash
# Class and instance of every LiDAR point, from instance masks of cameras: labels, their quality, a report, .label files.
set -euo pipefail

vsrd-ray synthesize street --frames 4 --cars 6 --layers panoptic
vsrd-ray label --serial --root street --sequence 2013_05_28_drive_0000_sync --config pointsam --output points
vsrd-ray evaluate points --root street
vsrd-ray report points --root street
vsrd-ray export points --root street --format semantickitti --output semantickitti
