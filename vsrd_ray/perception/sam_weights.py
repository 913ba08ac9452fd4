"""Original checkpoints of the Segment Anything Model (SAM) as transformers wants them.

`sam_vit_{h,l,b}_*.pth` are flat state dicts. Their keys are renamed, and what the model looks like is told from the
shapes. They are read by torch's restricted reader (`weights_only`), which makes tensors and nothing else.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vsrd_ray.errors import InputError, one_line

# Of the image encoder, the prompt encoder and the mask decoder, in this order; each is applied once.
_RENAMED = (
    (r"^image_encoder\.blocks\.", "vision_encoder.layers."),
    (r"^image_encoder\.patch_embed\.proj\.", "vision_encoder.patch_embed.projection."),
    (r"^image_encoder\.", "vision_encoder."),
    (r"\.neck\.0\.", ".neck.conv1."),
    (r"\.neck\.1\.", ".neck.layer_norm1."),
    (r"\.neck\.2\.", ".neck.conv2."),
    (r"\.neck\.3\.", ".neck.layer_norm2."),
    (r"\.pe_layer\.positional_encoding_gaussian_matrix$", ".shared_embedding.positional_embedding"),
    (r"\.point_embeddings\.", ".point_embed."),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    (r"\.norm(\d)\.", r".layer_norm\1."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"(mlps\.\d+|iou_prediction_head)\.layers\.0\.", r"\1.proj_in."),
    (r"(mlps\.\d+|iou_prediction_head)\.layers\.1\.", r"\1.layers.0."),
    (r"(mlps\.\d+|iou_prediction_head)\.layers\.2\.", r"\1.proj_out."),
)
_SHARED = "prompt_encoder.shared_embedding.positional_embedding"
_HEAD_WIDTH = 32  # of the decoder's attention in every published model; its shapes do not tell
_DOWNLOAD = "give an original SAM checkpoint, such as sam_vit_b_01ec64.pth, downloaded whole"


def renamed(key: str) -> str:
    """The name in transformers' SamModel of an array of an original checkpoint."""
    for pattern, new in _RENAMED:
        key = re.sub(pattern, new, key)
    return key


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The arrays of an original checkpoint, by transformers' names.

    Raises:
        InputError: no such file, or one that is no plain state dict of SAM.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file: {_DOWNLOAD}") from None
    except Exception as error:  # of many kinds: torn files, pickles of other things
        raise InputError(f"{path}: no weights that can be read ({one_line(error)[:200]}): {_DOWNLOAD}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: no flat table of arrays: {_DOWNLOAD}")
    arrays = {renamed(str(key)): value for key, value in state.items()}
    if _SHARED not in arrays or "vision_encoder.pos_embed" not in arrays:
        raise InputError(f"{path}: arrays of another model than SAM: {_DOWNLOAD}")
    arrays["shared_image_embedding.positional_embedding"] = arrays[_SHARED]
    return arrays


def sizes_of(arrays: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """The configurations of transformers' SamConfig that a checkpoint's shapes mean.

    Raises:
        KeyError: an array is missing.
    """
    encoder = "vision_encoder.layers."
    _, side, _, width = arrays["vision_encoder.pos_embed"].shape
    patch = arrays["vision_encoder.patch_embed.projection.weight"].shape[-1]
    depth = 1 + max(int(key.split(".")[2]) for key in arrays if key.startswith(encoder))
    reach = {layer: arrays[f"{encoder}{layer}.attn.rel_pos_h"].shape for layer in range(depth)}
    everywhere = [layer for layer, (length, _) in reach.items() if length == 2 * side - 1]
    windows = [(length + 1) // 2 for length, _ in reach.values() if length != 2 * side - 1]
    channels = arrays["vision_encoder.neck.conv1.weight"].shape[0]
    decoder = "mask_decoder."
    layers = {key.split(".")[3] for key in arrays if key.startswith(f"{decoder}transformer.layers.")}
    first = f"{decoder}transformer.layers.0."
    attention = arrays[f"{first}cross_attn_token_to_image.q_proj.weight"].shape[0]
    return {
        "vision_config": {
            "hidden_size": width,
            "output_channels": channels,
            "num_hidden_layers": depth,
            "num_attention_heads": width // reach[0][1],
            "image_size": side * patch,
            "patch_size": patch,
            "mlp_dim": arrays[f"{encoder}0.mlp.lin1.weight"].shape[0],
            "window_size": windows[0] if windows else 0,
            "global_attn_indexes": everywhere,
            "num_pos_feats": arrays[_SHARED].shape[1],
        },
        "prompt_encoder_config": {
            "hidden_size": channels,
            "image_size": side * patch,
            "patch_size": patch,
            "mask_input_channels": arrays["prompt_encoder.mask_embed.conv2.weight"].shape[0],
        },
        "mask_decoder_config": {
            "hidden_size": channels,
            "mlp_dim": arrays[f"{first}mlp.lin1.weight"].shape[0],
            "num_hidden_layers": len(layers),
            "num_attention_heads": max(channels // _HEAD_WIDTH, 2),
            "attention_downsample_rate": channels // attention,
            "iou_head_hidden_dim": arrays[f"{decoder}iou_prediction_head.proj_in.weight"].shape[0],
        },
    }
