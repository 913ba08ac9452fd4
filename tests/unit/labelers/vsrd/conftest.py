"""The two labelers and a group of two parked cars, once per module."""

import pytest
from hand_made import make_group
from labelled_groups import CARS, FAST, POSES, VOLUMETRIC, set_up


@pytest.fixture(scope="module")
def labeler():
    return set_up(FAST)


@pytest.fixture(scope="module")
def volumetric():
    return set_up(VOLUMETRIC)


@pytest.fixture(params=["labeler", "volumetric"])
def either(request):
    """Each of the two labelers."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def group():
    return make_group(CARS, POSES)
