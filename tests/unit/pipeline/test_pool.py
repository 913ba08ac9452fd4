from dataclasses import replace

import pytest

from vsrd_ray.errors import InputError
from vsrd_ray.pipeline.pool import Machines, Node, Pool, PoolRequest, parse_num_actors, resolve_pool

LAPTOP = Machines((Node(cpus=2, gpus=0),), is_local=True)
WORKSTATION = Machines((Node(cpus=16, gpus=4),), is_local=True)
HEAD, GPU_NODE = Node(cpus=0, gpus=0), Node(cpus=8, gpus=2, accelerator="A100")
GROWING = Machines((HEAD,), possible=(HEAD, replace(GPU_NODE, count=5), Node(cpus=4, gpus=0, count=2)))
UNKNOWN = Machines((HEAD,), may_be_more=True)
CPU_CLUSTER = Machines((HEAD, Node(cpus=8, gpus=0, count=3)))

CPU_POOL = Pool(2, 2, 2, num_gpus=0.0, num_cpus=1, accelerator=None, batch_size=1, device="cpu")
GPU_POOL = Pool(4, 4, 4, num_gpus=1.0, num_cpus=1, accelerator=None, batch_size=16, device="cuda")


def sized(pool, low, high=None, initial=None, **changes):
    high = low if high is None else high
    initial = high if initial is None else initial
    return replace(pool, min_size=low, max_size=high, initial_size=initial, **changes)


@pytest.mark.parametrize(("text", "sizes"), [("4", (4, 4)), ("1:8", (1, 8)), ("3:3", (3, 3))])
def test_num_actors_are_a_number_or_a_range(text, sizes):
    assert parse_num_actors(text) == sizes


@pytest.mark.parametrize("text", ["", "0", "-1", "4:2", "1:", ":3", "two", "1.5", "1:2:3"])
def test_other_texts_are_refused(text):
    with pytest.raises(InputError, match="--num-actors"):
        parse_num_actors(text)


@pytest.mark.parametrize(
    ("request_", "machines", "pool"),
    [
        (PoolRequest(), LAPTOP, CPU_POOL),
        (PoolRequest(), WORKSTATION, GPU_POOL),
        (PoolRequest(device="cpu"), WORKSTATION, sized(CPU_POOL, 16)),
        (PoolRequest(num_gpus=0.5), WORKSTATION, sized(GPU_POOL, 8, num_gpus=0.5)),
        (PoolRequest(num_gpus=0.1), WORKSTATION, sized(GPU_POOL, 16, num_gpus=0.1)),  # 40 by GPUs, 16 by CPUs
        (PoolRequest(num_gpus=0.6), WORKSTATION, sized(GPU_POOL, 4, num_gpus=0.6)),  # no share lies on two GPUs
        (PoolRequest(num_gpus=2), WORKSTATION, sized(GPU_POOL, 2, num_gpus=2)),
        (PoolRequest((1, 2)), LAPTOP, sized(CPU_POOL, 1, 2)),
        (PoolRequest((1, 2), initial_actors=1), LAPTOP, sized(CPU_POOL, 1, 2, 1)),
        (PoolRequest(num_cpus=4, batch_size=3), WORKSTATION, replace(GPU_POOL, num_cpus=4, batch_size=3)),
        (PoolRequest(num_cpus=6), WORKSTATION, sized(GPU_POOL, 2, num_cpus=6)),
        # A cluster that may grow is judged by what may come.
        (PoolRequest(), GROWING, sized(GPU_POOL, 1, 10)),
        (PoolRequest(accelerator="A100", num_cpus=4), GROWING, sized(GPU_POOL, 1, 10, accelerator="A100", num_cpus=4)),
        # Under KubeRay nothing is known of what may come, and what is asked for is believed.
        (PoolRequest((1, 16), device="cuda"), UNKNOWN, sized(GPU_POOL, 1, 16)),
        # 24 CPUs, of which 6 load for 18.
        (PoolRequest(), CPU_CLUSTER, sized(CPU_POOL, 18)),
    ],
)
def test_pool_fits_the_machines(request_, machines, pool):
    assert resolve_pool(request_, machines, gpu_batch=16) == pool


@pytest.mark.parametrize(
    ("request_", "machines", "message"),
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
        (
            PoolRequest((1, 11)),
            GROWING,
            r"11 actors x .* and 1 CPU to load needs 12 CPUs and 11 GPUs, and there can be 48 CPUs and 10 GPUs: ",
        ),
        (PoolRequest((24, 24)), CPU_CLUSTER, r"24 actors .* and 8 CPU to load needs 32 CPUs, .* --num-actors 18 fits"),
        (PoolRequest(num_cpus=9), CPU_CLUSTER, r"1 actors x \(9 CPU\) .* --num-actors 0 fits"),
        (PoolRequest(device="cuda"), LAPTOP, "no CUDA device"),
        (PoolRequest(num_gpus=0), WORKSTATION, "--num-gpus 0 with CUDA"),
        (PoolRequest(num_gpus=1), LAPTOP, "--num-gpus 1 on the CPU"),
        (PoolRequest(num_gpus=1.5), WORKSTATION, "--num-gpus 1.5: expected a share"),
        (PoolRequest(num_gpus=-1), WORKSTATION, "--num-gpus -1: expected a share"),
        (PoolRequest(num_gpus=8), WORKSTATION, "1 actors x .* needs 1 CPUs and 8 GPUs"),
        (PoolRequest((1, 16)), UNKNOWN, "nothing is known here: give --device cpu or cuda, and --num-actors"),
        (PoolRequest(device="cuda"), UNKNOWN, "nothing is known here: give --device cpu or cuda, and --num-actors"),
        (PoolRequest(num_cpus=0), LAPTOP, "--num-cpus 0: an actor needs"),
        (PoolRequest((1, 2), initial_actors=3), LAPTOP, "--initial-actors 3: expected a number from 1 to 2"),
        (PoolRequest(accelerator="H100"), GROWING, "--accelerator-type H100: no such GPU here; there are A100"),
        (PoolRequest(accelerator="H100"), LAPTOP, "--accelerator-type H100: no such GPU here; there are none"),
    ],
)
def test_pool_that_cannot_be_placed_is_refused(request_, machines, message):
    with pytest.raises(InputError, match=message):
        resolve_pool(request_, machines)


def test_cpus_that_others_hold_make_the_default_pool_smaller():
    assert resolve_pool(PoolRequest(), replace(CPU_CLUSTER, busy_cpus=4)) == sized(CPU_POOL, 15)
    with pytest.raises(InputError, match=r"needs 2 CPUs, and there are 2 CPUs \(1 of them in use by others\)"):
        resolve_pool(PoolRequest(), Machines((Node(cpus=2, gpus=0),), busy_cpus=1))


def test_pool_that_waits_for_others_is_told_of(caplog):
    assert resolve_pool(PoolRequest((2, 18)), replace(CPU_CLUSTER, busy_cpus=20)).max_size == 18
    assert caplog.messages == []
    resolve_pool(PoolRequest((18, 18)), replace(CPU_CLUSTER, busy_cpus=1))
    (message,) = caplog.messages
    assert message.startswith("24 CPUs are needed, and others hold 1 of 24: the run waits")
    assert "--entrypoint-num-cpus" in message


def test_share_that_is_no_number_is_refused():
    with pytest.raises(InputError, match="--num-gpus nan"):
        resolve_pool(PoolRequest(num_gpus=float("nan")), WORKSTATION)
