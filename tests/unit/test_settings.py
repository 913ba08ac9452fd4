from vsrd_ray.labelers.configs import load_config
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.settings import differences


def test_differences_name_what_changed() -> None:
    old = VSRDConfig().model_dump(mode="json")
    new = load_config("kitti360_vsrd", ["schedule.steps=100", "seed=2"]).model_dump(mode="json")
    assert differences(old, new) == ["schedule.steps: 3000 -> 100", "seed: 0 -> 2"]
    assert differences(old, old) == []
    assert differences({}, {"a": 1}) == ["a: None -> 1"]
