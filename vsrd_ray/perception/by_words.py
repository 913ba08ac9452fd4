"""Models that find what words say: Grounding DINO's boxes, and the masks of SAM 3 in images and in videos.

They know no classes of their own; the wanted names are the words. Their tokenizer is read from the folder, too.
Shapes: B images, Q queries, T tokens, D detections, H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.errors import InputError, one_line
from vsrd_ray.perception.base import Detections
from vsrd_ray.perception.from_transformers import Boxes, detections
from vsrd_ray.perception.loading import Model, class_of

_TOKENIZER = "tokenizer.json"
_LENGTH = 32  # tokens of a prompt of SAM 3
_SAME = 0.5  # IoU of masks, of which the less sure one is of the same object


@dataclass(frozen=True)
class Words:
    """Words as a model reads them."""

    tokenizer: Any  # of the library tokenizers, which transformers needs

    @staticmethod
    def of(folder: str) -> "Words":
        """The tokenizer of a folder of weights.

        Raises:
            InputError: it is not there, or torn; or the library is not installed.
        """
        try:
            from tokenizers import Tokenizer  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise InputError(f"words need tokenizers ({error}): pip install 'vsrd-ray[masks]'") from error
        path = Path(folder) / _TOKENIZER
        if not path.is_file():
            raise InputError(f"{path}: no such file: download the whole model again, with its {_TOKENIZER}")
        try:
            return Words(Tokenizer.from_file(str(path)))
        except Exception as error:  # the library raises nothing narrower
            raise InputError(f"{path}: no tokenizer ({one_line(error)[:200]}): download it again") from error

    def listed(self, wanted: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Tokens [1, T] int64 of words in one prompt, and which of them are of each word [W, T] bool."""
        prompt = "".join(f"{word.lower()}. " for word in wanted).rstrip()
        encoding = self.tokenizer.encode(prompt)
        ends = np.cumsum([len(word) + 2 for word in wanted]) - 2
        spans = [(end - len(word), end) for end, word in zip(ends.tolist(), wanted, strict=True)]
        is_own = [[first <= left < right <= last for left, right in encoding.offsets] for first, last in spans]
        return torch.tensor([encoding.ids]), torch.tensor(is_own)

    def padded(self, word: str) -> tuple[Tensor, Tensor]:
        """Tokens [1, 32] int64 of a word alone, and which of them are no padding [1, 32] int64."""
        ids = self.tokenizer.encode(word).ids[:_LENGTH]
        missing = _LENGTH - len(ids)
        return torch.tensor([ids + ids[-1:] * missing]), torch.tensor([[1] * len(ids) + [0] * missing])


class GroundedDetector:
    """Grounding DINO (Liu et al., ECCV 2024); see `vsrd_ray.perception.from_transformers.Detector`."""

    labels = ()

    def __init__(self, model: Model, words: Words, device: str) -> None:
        self._model, self._words, self._device = model, words, device

    def detect(self, images: Sequence[np.ndarray], wanted: Sequence[str]) -> Boxes:
        """See `Detector`. The score of a word is that of the token that fits best."""
        pixels = self._model.preprocess(images, self._device)
        tokens, is_own = (one.to(self._device) for one in self._words.listed(wanted))
        tokens = tokens.expand(len(images), -1)
        outputs = self._model(
            pixels,
            pixel_mask=pixels.mask,
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            token_type_ids=torch.zeros_like(tokens),
        )
        by_token = outputs.logits[:, :, None, : tokens.shape[1]].sigmoid()  # [B, Q, 1, T]
        scores, places = torch.where(is_own, by_token, 0).amax(dim=-1).max(dim=-1)
        return Boxes(scores, places, outputs.pred_boxes)


class WordSegmenter:
    """SAM 3 asked about images one by one; see `Segmenter`."""

    labels = ()

    def __init__(self, model: Model, words: Words, device: str) -> None:
        self._model, self._words, self._device = model, words, device

    def segment(self, images: Sequence[np.ndarray], *, min_score: float, wanted: Sequence[str]) -> list[Detections]:
        """See `Segmenter`. A score is that of the mask times that of the word being there at all, as published."""
        pixels = self._model.preprocess(images, self._device)
        scores, logits = [], []
        with torch.inference_mode():
            seen = self._model.network.get_vision_features(pixel_values=pixels.values)
            for word in wanted:
                ids, mask = (one.to(self._device).expand(len(images), -1) for one in self._words.padded(word))
                outputs = self._model.network(vision_embeds=seen, input_ids=ids, attention_mask=mask)
                scores.append(outputs.pred_logits.sigmoid() * outputs.presence_logits.sigmoid())
                logits.append(outputs.pred_masks)
        classes = torch.arange(len(wanted), device=self._device).repeat_interleave(scores[0].shape[1])
        found = []
        for sure, masks in zip(torch.cat(scores, dim=1), torch.cat(logits, dim=1), strict=True):
            kept = _without_doubles(masks, sure, torch.nonzero(sure > min_score)[:, 0])
            on_image = pixels.to_image(masks[kept]) if len(kept) else masks.new_zeros((0, *pixels.image_size))
            found.append(detections(on_image > 0, classes[kept], sure[kept], wanted, min_score=min_score))
        return found


class VideoSegmenter:
    """SAM 3 asked about images as a video, whose objects it follows; see `Segmenter`.

    What is found in an image depends on those before it. Its own thresholds hold beside `min_score`.
    """

    labels = ()

    def __init__(self, model: Model, words: Words, device: str) -> None:
        self._model, self._words, self._device = model, words, device

    def segment(self, images: Sequence[np.ndarray], *, min_score: float, wanted: Sequence[str]) -> list[Detections]:
        """See `Segmenter`; images are in the order of time."""
        pixels = self._model.preprocess(images, self._device)
        session = class_of("Sam3VideoInferenceSession")(
            video=pixels.values,
            video_height=pixels.image_size[0],
            video_width=pixels.image_size[1],
            inference_device=self._device,
            inference_state_device=self._device,
            video_storage_device=self._device,
            dtype=pixels.values.dtype,
        )
        for word in wanted:
            number = session.add_prompt(word)
            ids, mask = self._words.padded(word)
            session.prompt_input_ids[number] = ids.to(self._device)
            session.prompt_attention_masks[number] = mask.to(self._device)
        # All frames first: a frame's objects may turn out to be none later on.
        outputs = list(self._model.network.propagate_in_video_iterator(session))
        removed = set(session.hotstart_removed_obj_ids)
        found = []
        for one in sorted(outputs, key=lambda one: one.frame_idx):
            ids = sorted(set(one.obj_id_to_mask) - removed - set(one.suppressed_obj_ids or ()))
            ids = [number for number in ids if number in session.obj_id_to_prompt_id]
            sure = pixels.values.new_tensor([float(one.obj_id_to_score[number]) for number in ids])
            classes = torch.tensor([session.obj_id_to_prompt_id[number] for number in ids], dtype=torch.int64)
            masks = torch.cat([one.obj_id_to_mask[number] for number in ids]) if ids else pixels.values[:0, 0]
            kept = _without_doubles(masks, sure, torch.nonzero(sure > min_score)[:, 0])
            on_image = pixels.to_image(masks[kept]) if len(kept) else masks.new_zeros((0, *pixels.image_size))
            found.append(
                detections(on_image > 0, classes.to(self._device)[kept], sure[kept], wanted, min_score=min_score)
            )
        return found


def _without_doubles(
    logits: Tensor,  # [D, h, w] of masks
    scores: Tensor,  # [D]
    places: Tensor,  # of those that count
) -> Tensor:
    """Places by falling score, without masks of objects that a surer mask shows, such as a car that is a truck, too."""
    order = places[torch.argsort(scores[places], descending=True, stable=True)]
    inside = (logits[order] > 0).flatten(1).float()
    shared, areas = inside @ inside.T, inside.sum(dim=1)
    is_same = (shared > _SAME * (areas[:, None] + areas - shared)).tolist()
    kept: list[int] = []
    for place in range(len(order)):
        if not any(is_same[place][other] for other in kept):
            kept.append(place)
    return order[kept]
