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


def _with_tokenizer(folder: Path) -> Path:
    """A tokenizer whose marks have BERT's numbers, which Grounding DINO knows by heart."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    marks = {"[UNK]": 100, "[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
    vocabulary = marks | {word: 1030 + place for place, word in enumerate(["car", "truck", "bus", "fire", "engine"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 101), ("[SEP]", 102)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def grounding_dino(folder: Path) -> Path:
    """A detector of what words say, whose images keep their proportions."""
    tf = _transformers()
    backbone = tf.SwinConfig(
        image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    text = tf.BertConfig(
        vocab_size=1100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    config = tf.GroundingDinoConfig(
        backbone_config=backbone, text_config=text, d_model=32, encoder_layers=1, decoder_layers=2, num_queries=10,
        encoder_ffn_dim=16, decoder_ffn_dim=16, encoder_attention_heads=2, decoder_attention_heads=2, max_text_len=64,
    )  # fmt: skip
    processor = {"size": {"shortest_edge": 64, "longest_edge": 256}}
    return _with_tokenizer(_saved(folder, tf.GroundingDinoForObjectDetection(config), processor))


def sam2(folder: Path) -> Path:
    """A segmenter that fills boxes; its images are stretched to a square."""
    tf = _transformers()
    backbone = tf.Sam2HieraDetConfig(
        hidden_size=8, num_attention_heads=1, image_size=[64, 64], blocks_per_stage=[1, 1, 1, 1],
        embed_dim_per_stage=[8, 16, 32, 64], num_attention_heads_per_stage=[1, 1, 2, 2], global_attention_blocks=[],
        window_size_per_stage=[4, 2, 2, 2], window_positional_embedding_background_size=[4, 4],
    )  # fmt: skip
    vision = tf.Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=32,
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
    )  # fmt: skip
    prompt = tf.Sam2PromptEncoderConfig(hidden_size=32, image_size=64, patch_size=16, mask_input_channels=4)
    decoder = tf.Sam2MaskDecoderConfig(
        hidden_size=32, mlp_dim=16, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16
    )
    config = tf.Sam2Config(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    return _saved(folder, tf.Sam2Model(config), {"size": {"height": 64, "width": 64}})


def sam3(folder: Path, *, video: bool = False) -> Path:
    """A segmenter of what words say, in images or in videos; the file that says how its images are made is newer."""
    tf = _transformers()
    backbone = {
        "model_type": "sam3_vit_model", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "image_size": 56, "window_size": 2, "global_attn_indexes": [0],
        "pretrain_image_size": 28,
    }  # fmt: skip
    vision = {
        "model_type": "sam3_vision_model", "backbone_config": backbone, "fpn_hidden_size": 128,
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
    }  # fmt: skip
    text = {
        "model_type": "clip_text_model", "vocab_size": 1100, "hidden_size": 16, "intermediate_size": 16,
        "projection_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32,
        "bos_token_id": 101, "eos_token_id": 102, "pad_token_id": 102,
    }  # fmt: skip
    heads = {"hidden_size": 128, "num_attention_heads": 2}
    layers = heads | {"num_layers": 1, "intermediate_size": 16}
    detector = tf.Sam3Config(
        vision_config=vision, text_config=text, geometry_encoder_config=layers, detr_encoder_config=layers,
        detr_decoder_config=layers | {"num_queries": 3}, mask_decoder_config=heads,
    )  # fmt: skip
    network = _sam3_video(tf, detector, vision) if video else tf.Sam3Model(detector)
    _with_tokenizer(_saved(folder, network, {}))
    (folder / "preprocessor_config.json").unlink()
    processor = {"size": {"height": 56, "width": 56}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": processor}))
    return folder


def _sam3_video(tf: Any, detector: Any, vision: dict[str, Any]) -> Any:
    """That of images with a tracker, all of whose detections count."""
    tracker = {
        "model_type": "sam3_tracker_video", "image_size": 56, "vision_config": vision,
        "prompt_encoder_config": {"hidden_size": 128, "mask_input_channels": 4},
        "mask_decoder_config": {
            "hidden_size": 128, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
        "memory_attention_hidden_size": 128, "memory_attention_num_layers": 1,
        "memory_attention_feed_forward_hidden_size": 16, "memory_encoder_hidden_size": 128,
        "mask_downsampler_embed_dim": 128, "memory_fuser_num_layers": 1, "memory_fuser_embed_dim": 128,
        "memory_fuser_intermediate_dim": 16,
    }  # fmt: skip
    config = tf.Sam3VideoConfig(
        detector_config=detector.to_dict(), tracker_config=tracker, low_res_mask_size=16, hotstart_delay=0,
        score_threshold_detection=0.0, new_det_thresh=0.0,
    )  # fmt: skip
    return tf.Sam3VideoModel(config)
