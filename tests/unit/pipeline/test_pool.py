import pytest

from vsrd_ray.errors import InputError
from vsrd_ray.pipeline.pool import Machine, Pool, PoolRequest, parse_num_actors, resolve_pool

LAPTOP, WORKSTATION = Machine(cpus=2, gpus=0), Machine(cpus=16, gpus=4)


@pytest.mark.parametrize(("text", "sizes"), [("4", (4, 4)), ("1:8", (1, 8)), ("3:3", (3, 3))])
def test_num_actors_are_a_number_or_a_range(text, sizes):
    assert parse_num_actors(text) == sizes


@pytest.mark.parametrize("text", ["", "0", "-1", "4:2", "1:", ":3", "two", "1.5", "1:2:3"])
def test_other_texts_are_refused(text):
    with pytest.raises(InputError, match="--num-actors"):
        parse_num_actors(text)


@pytest.mark.parametrize(
    ("request_", "machine", "pool"),
    [
        (PoolRequest(), LAPTOP, Pool(2, 2, 0.0, "cpu")),
        (PoolRequest(), WORKSTATION, Pool(4, 4, 1.0, "cuda")),
        (PoolRequest(device="cpu"), WORKSTATION, Pool(16, 16, 0.0, "cpu")),
        (PoolRequest(num_gpus=0.5), WORKSTATION, Pool(8, 8, 0.5, "cuda")),
        (PoolRequest(num_gpus=0.1), WORKSTATION, Pool(16, 16, 0.1, "cuda")),  # 40 by GPUs, 16 by CPUs
        (PoolRequest(num_gpus=2), WORKSTATION, Pool(2, 2, 2, "cuda")),
        (PoolRequest(num_actors=(1, 2)), LAPTOP, Pool(1, 2, 0.0, "cpu")),
    ],
)
def test_pool_fits_the_machine(request_, machine, pool):
    assert resolve_pool(request_, machine) == pool


@pytest.mark.parametrize(
    ("request_", "machine", "message"),
    [
        (
            PoolRequest((3, 3)),
            LAPTOP,
            r"3 actors x \(1 CPU\) needs 3 CPUs, and there are 2 CPUs .* --num-actors 2 fits",
        ),
        (
            PoolRequest((1, 5)),
            WORKSTATION,
            r"5 actors x \(1 CPU \+ 1 GPU\) needs 5 CPUs and 5 GPUs, and there are 16 CPUs and 4 GPUs: .* 4 fits",
        ),
        (PoolRequest(device="cuda"), LAPTOP, "no CUDA device"),
        (PoolRequest(num_gpus=0), WORKSTATION, "--num-gpus 0 with CUDA"),
        (PoolRequest(num_gpus=1), LAPTOP, "--num-gpus 1 on the CPU"),
        (PoolRequest(num_gpus=1.5), WORKSTATION, "--num-gpus 1.5: expected a share"),
        (PoolRequest(num_gpus=-1), WORKSTATION, "--num-gpus -1: expected a share"),
        (PoolRequest(num_gpus=8), WORKSTATION, "1 actors x .* needs 1 CPUs and 8 GPUs"),
    ],
)
def test_pool_that_cannot_be_placed_is_refused(request_, machine, message):
    with pytest.raises(InputError, match=message):
        resolve_pool(request_, machine)
