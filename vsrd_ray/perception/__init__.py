"""Detectors and segmenters: images in; boxes, masks, classes and scores out.

One small protocol (`base.py`), and adapters to libraries behind it; `models.py` chooses one by a folder or file of
weights. `from_transformers.py` runs instance segmenters, and detectors whose boxes prompt a segmenter; `by_words.py`
finds what words say; `from_torchvision.py` runs Mask R-CNN; `sam.py` asks SAM about points. `loading.py` loads folders.
`packaged.py` finds cars with the small detector of an npm package, and fills its boxes roughly. Nothing is downloaded;
of original checkpoints (`sam_weights.py`) torch reads tensors alone. Weights are the user's own; the library comes with
`pip install 'vsrd-ray[masks]'`.

Owns: images to tensors, outputs to detections, what a folder of weights must hold.
Does not own: which frames are segmented, how masks are kept, which detections are one object over time.
"""
