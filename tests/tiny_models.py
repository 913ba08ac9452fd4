"""Folders of weights of tiny random models, as `save_pretrained` writes them; for tests that run adapters whole."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

NAMES = {0: "person", 1: "bicycle", 2: "car", 3: "bus", 4: "truck"}
_LABELS = {"id2label": NAMES, "label2id": {name: number for number, name in NAMES.items()}}
_EXACT = {"do_resize": True, "size": {"height": 64, "width": 128}, "do_normalize": True}


def _saved(folder: Path, network: Any, processor: dict[str, Any]) -> Path:
    network.eval().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def _transformers() -> Any:
    torch.manual_seed(0)
    return pytest.importorskip("transformers", reason="the extra `masks` is not installed")


def mask2former(folder: Path) -> Path:
    """An instance segmenter whose images keep their proportions and are padded."""
    tf = _transformers()
    backbone = tf.SwinConfig(
        image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = tf.Mask2FormerConfig(
        backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32, num_queries=10,
        encoder_layers=1, decoder_layers=2, num_attention_heads=2, dim_feedforward=32, encoder_feedforward_dim=32,
        **_LABELS,
    )  # fmt: skip
    processor = {"size": {"shortest_edge": 64, "longest_edge": 256}, "size_divisor": 32}
    return _saved(folder, tf.Mask2FormerForUniversalSegmentation(config), processor)


def rf_detr(folder: Path, *, masks: bool = True) -> Path:
    """An instance segmenter, or a detector of boxes, whose images are stretched."""
    tf = _transformers()
    from transformers.models.rf_detr.configuration_rf_detr import RfDetrDinov2Config

    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = RfDetrDinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, patch_size=16, image_size=64, num_windows=2,
        out_indices=[1, 2, 3, 4], out_features=stages, window_block_indexes=[0, 2],
    )  # fmt: skip
    config = tf.RfDetrConfig(
        backbone_config=backbone, d_model=16, num_queries=10, decoder_layers=1, decoder_ffn_dim=32,
        decoder_self_attention_heads=2, decoder_cross_attention_heads=2, group_detr=1, c2f_num_blocks=1,
        intermediate_size=32, **_LABELS,
    )  # fmt: skip
    model = tf.RfDetrForInstanceSegmentation if masks else tf.RfDetrForObjectDetection
    return _saved(folder, model(config), _EXACT)


def sam(folder: Path) -> Path:
    """A segmenter that fills boxes; its images are padded to a square."""
    tf = _transformers()
    vision = tf.SamVisionConfig(
        hidden_size=16, output_channels=16, num_hidden_layers=1, num_attention_heads=2, image_size=64, patch_size=16,
        mlp_dim=32, window_size=2, global_attn_indexes=[0], num_pos_feats=8,
    )  # fmt: skip
    prompt = tf.SamPromptEncoderConfig(hidden_size=16, image_size=64, patch_size=16, mask_input_channels=4)
    decoder = tf.SamMaskDecoderConfig(
        hidden_size=16, mlp_dim=32, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16
    )
    config = tf.SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    processor = {"size": {"longest_edge": 64}, "pad_size": {"height": 64, "width": 64}}
    return _saved(folder, tf.SamModel(config), processor)
