"""Weights of density networks in files: own ones, and those published for BTS, MVBTS and KDBTS.

Files are read with torch's `weights_only`: a pickle that holds code is refused, never run.
"""

import logging
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor

from vsrd_ray.errors import InputError
from vsrd_ray.labelers.density.networks.model import DensityNetwork
from vsrd_ray.storage import Location
from vsrd_ray.training.checkpoints import read_torch_file

_LOG = logging.getLogger(__name__)

_PARALLEL, _NET = "module.", "renderer.net."
_BACKBONE, _DECODER = "encoder.encoder.encoder.", "encoder.decoder.decoder."
_NUM_CONVOLUTIONS = 10  # of the decoder, in order of use; the outputs of its levels follow
_HEADS = {
    "heads.multiviewhead3.mlp.lin_in": "teacher.view_hidden",
    "heads.multiviewhead3.mlp.lin_out": "teacher.view_output",
    "heads.multiviewhead3.mlp2.lin_in": "teacher.fused_hidden",
    "heads.multiviewhead3.mlp2.lin_out": "teacher.fused_output",
    "heads.singleviewhead.lin_in": "student.hidden",
    "heads.singleviewhead.lin_out": "student.output",
    "mlp_coarse.lin_in": "student.hidden",  # BTS's own
    "mlp_coarse.lin_out": "student.output",
}
_NOT_READ = {  # what published checkpoints hold and no prediction uses, by the beginning of its name
    "renderer.net.encoder.encoder.encoder.fc.": "the classifier of ImageNet",
    "renderer.net.encoder.decoder.decoder.11.": "the output of level 1",
    "renderer.net.encoder.decoder.decoder.12.": "the output of level 2",
    "renderer.net.encoder.decoder.decoder.13.": "the output of level 3",
    "renderer.net.code_xyz.": "constants of the positional code",
    "renderer.renderer.": "counters of the renderer",
}
_COUNTER = ".num_batches_tracked"


def own_name(published: str) -> str | None:
    """The parameter of `DensityNetwork` that a published one is; None for what is not read.

    Raises:
        KeyError: the name is none of a published density network.
    """
    name = published.removeprefix(_PARALLEL)
    if any(name.startswith(start) for start in _NOT_READ):
        return None
    inner = name.removeprefix(_NET)
    if name == inner:
        raise KeyError(published)
    if inner.startswith(_BACKBONE):
        return f"backbone.{inner.removeprefix(_BACKBONE)}"
    if inner.startswith(_DECODER):
        number, _, rest = inner.removeprefix(_DECODER).partition(".")
        leaf = rest.rpartition(".")[2]
        return f"decoder.convolutions.{number}.{leaf}" if int(number) < _NUM_CONVOLUTIONS else f"decoder.output.{leaf}"
    layer, _, leaf = inner.rpartition(".")
    return f"{_HEADS[layer]}.{leaf}"


def published_names(network: DensityNetwork) -> dict[str, str]:
    """The published name of each parameter and buffer of a network, by its own name."""
    heads = {own: theirs for theirs, own in reversed(_HEADS.items())}
    names: dict[str, str] = {}
    for own in network.state_dict():
        layer, _, leaf = own.rpartition(".")
        if own.startswith("backbone."):
            theirs = f"{_BACKBONE}{own.removeprefix('backbone.')}"
        elif layer == "decoder.output":
            theirs = f"{_DECODER}{_NUM_CONVOLUTIONS}.conv.{leaf}"
        elif layer.startswith("decoder.convolutions."):
            theirs = f"{_DECODER}{layer.rpartition('.')[2]}.conv.conv.{leaf}"
        else:
            theirs = f"{heads[layer]}.{leaf}"
        names[own] = f"{_NET}{theirs}"
    return names


def read_state(path: Location) -> dict[str, Tensor]:
    """The weights in a file: those under "model" where it has such an entry.

    Raises:
        InputError: no such file, a pickle that holds code, a damaged file, or one that holds no weights.
    """
    loaded = read_torch_file(path)
    state: Any = loaded.get("model", loaded) if isinstance(loaded, Mapping) else None
    if not isinstance(state, Mapping) or not state or not all(isinstance(one, Tensor) for one in state.values()):
        raise InputError(f"{path}: no weights, nor any under 'model': give the checkpoint of a density network")
    return dict(cast("Mapping[str, Tensor]", state))


def take(
    network: DensityNetwork,
    state: Mapping[str, Tensor],
    *,
    source: str,
) -> list[str]:
    """Put weights into a network, under own or published names; the names of those that were dropped.

    Raises:
        InputError: a name that no density network has, a weight that the network needs and the state lacks, or one of
            another width.
    """
    plain = {name.removeprefix(_PARALLEL): value for name, value in state.items()}
    wanted = network.state_dict()
    dropped: list[str] = []
    given: dict[str, Tensor] = {}
    for name, value in plain.items():
        own = name if name in wanted else _translated(name, source=source)
        if own is None or own not in wanted:
            dropped.append(name)
        else:
            given[own] = value
    if lacking := [name for name in wanted if name not in given and not name.endswith(_COUNTER)]:
        raise InputError(
            f"{source}: lacks {len(lacking)} weights that this network needs, {lacking[0]} first: "
            "give a checkpoint of such a network, or the settings of the one that was trained"
        )
    for name, value in given.items():
        if value.shape != wanted[name].shape:
            got, need = (" x ".join(map(str, shape)) or "1" for shape in (value.shape, wanted[name].shape))
            raise InputError(
                f"{source}: {name} is {got}, expected {need}: the checkpoint is of a network of another width; "
                "give the settings that it was trained with"
            )
    network.load_state_dict({**wanted, **given})
    if dropped:
        _LOG.info("%s: not read: %s", source, ", ".join(sorted(dropped)))
    return sorted(dropped)


def load(network: DensityNetwork, path: Location) -> list[str]:
    """Put the weights of a checkpoint into a network; the names of those that were dropped.

    Raises:
        InputError: see `read_state` and `take`.
    """
    return take(network, read_state(path), source=str(path))


def _translated(name: str, *, source: str) -> str | None:
    try:
        return own_name(name)
    except (KeyError, ValueError):
        if name.startswith(("student.", "teacher.")):
            return None  # a head that this network has not
        raise InputError(
            f"{source}: {name} is no weight of a density network: give a checkpoint of one "
            "(own, or published for BTS, MVBTS or KDBTS)"
        ) from None
