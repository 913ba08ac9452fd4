"""Checkpoints of density networks: published and own ones, and what is none."""

import os

import pytest
import torch
from walls import TINY

from vsrd_ray.errors import InputError
from vsrd_ray.labelers.density.networks.checkpoints import load, published_names, read_state, take
from vsrd_ray.labelers.density.networks.config import NetworkSettings
from vsrd_ray.labelers.density.networks.infer import load_network
from vsrd_ray.labelers.density.networks.model import DensityNetwork

SETTINGS = NetworkSettings.model_validate({**TINY["network"], "norm": "batch"})


class Code:
    """What unpickles to a call."""

    def __reduce__(self):
        return os.system, ("touch /tmp/never",)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return DensityNetwork(SETTINGS, roles=("teacher", "student"))


@pytest.fixture
def published(network):
    """The network under published names, with what published checkpoints hold besides."""
    names = published_names(network)
    state = {names[own]: value for own, value in network.state_dict().items()}
    return state | {
        "renderer.net.encoder.encoder.encoder.fc.bias": torch.zeros(1000),
        "renderer.net.encoder.decoder.decoder.12.conv.bias": torch.zeros(8),
        "renderer.renderer.iter_idx": torch.zeros(()),
    }


def fresh(roles=("teacher", "student"), **changes):
    torch.manual_seed(1)
    return DensityNetwork(SETTINGS.model_copy(update=changes), roles=roles)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_published_checkpoint_makes_the_round_trip(network, published, tmp_path, prefix):
    torch.save({"model": {f"{prefix}{name}": value for name, value in published.items()}}, tmp_path / "a.pt")
    other = fresh()
    dropped = load(other, tmp_path / "a.pt")
    assert len(dropped) == 3
    assert dropped[-1] == "renderer.renderer.iter_idx"
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in other.state_dict().items())
    names = published_names(other)
    again = {names[own]: value for own, value in other.state_dict().items()}
    assert all(torch.equal(published[name], value) for name, value in again.items())


def test_a_head_that_is_not_wanted_is_dropped(network, published):
    student = fresh(roles=("student",))
    dropped = take(student, published, source="a.pt")
    assert "renderer.net.heads.multiviewhead3.mlp.lin_in.weight" in dropped
    assert torch.equal(student.student.hidden.weight, network.student.hidden.weight)
    bts = {name.replace("heads.singleviewhead", "mlp_coarse"): value for name, value in published.items()}
    take(student, bts, source="bts.pt")


def test_what_is_lacking_unknown_or_of_another_width_is_one_clear_line(published):
    lacking = {name: value for name, value in published.items() if "singleview" not in name}
    with pytest.raises(
        InputError, match=r"^a.pt: lacks 4 weights that this network needs, student.hidden.weight first"
    ):
        take(fresh(), lacking, source="a.pt")
    with pytest.raises(InputError, match=r"^a.pt: encoder.head is no weight of a density network"):
        take(fresh(), {**published, "encoder.head": torch.zeros(1)}, source="a.pt")
    with pytest.raises(InputError, match=r"student.hidden.weight|singleviewhead.lin_in.weight is 16 x 47, expected 32"):
        take(fresh(student_hidden=32), published, source="a.pt")


@pytest.mark.parametrize("content", ["code", "text", "list"])
def test_what_is_no_checkpoint_is_one_clear_line(tmp_path, content):
    path = tmp_path / "a.pt"
    if content == "text":
        path.write_text("not found")
    else:
        torch.save({"model": Code()} if content == "code" else [1, 2], path)
    with pytest.raises(InputError, match=r"a.pt: ") as caught:
        read_state(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        read_state(tmp_path / "none.pt")


def test_a_published_file_is_loaded_for_the_papers_network_unless_told_otherwise(published, tmp_path):
    torch.save({"model": published}, tmp_path / "a.pt")
    trained = load_network(tmp_path / "a.pt", "teacher", settings=SETTINGS)
    assert (trained.image_size, trained.corner_rays, len(trained.digest)) == ((640, 192), True, 12)
    with pytest.raises(InputError, match=r"lacks|another width"):
        load_network(tmp_path / "a.pt", "teacher")
