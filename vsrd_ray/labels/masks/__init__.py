"""Instance masks: a row for each object that was found in a frame.

Masks of a run are taken in by `vsrd-ray label --masks OUTPUT`, where they become the layer that other labelers need.

Owns: the schema, quality against a dataset's own masks, COCO files, the report.
Does not own: how masks come about, and which of them are one object over time.
"""
