#!/usr/bin/env bash
# Instance masks of images that have none, with weights of yours in the folder model/; then 3D boxes from these masks.
set -euo pipefail

vsrd-ray synthesize street --frames 6 --cars 4
vsrd-ray label --serial --root street --sequence 2013_05_28_drive_0000_sync --config masks --set model=model --output masks
vsrd-ray evaluate masks --root street
vsrd-ray export masks --root street --format coco --output masks.json
vsrd-ray label --serial --root street --sequence 2013_05_28_drive_0000_sync --masks masks --output boxes
