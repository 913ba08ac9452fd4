"""Density networks: BTS (CVPR 2023) and KDBTS (CVPR 2024), written from their description.

An encoder makes feature maps of posed images; a head says how dense a point is from what the maps hold where the point
projects. The student looks at one image, the teacher fuses several.

    config     settings, the published quirks by name among them
    backbone, decoder, features, heads, model     the networks
    render, losses     colours from other views, and what they are compared by
    checkpoints     loading own and published weights
    inputs, patches, trainable     training, on `vsrd_ray.training`
    infer     densities and depth by a checkpoint, for the labeler and for one's own images
"""
