"""The package that docs/training.md builds, put where Python finds installed packages, entry point and all."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "training.md").read_text()
BLOCKS = re.findall(r"^```(?:python|yaml)\n# (toy/\S+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def install(site: Path) -> None:
    """Write the package into a folder of the module path, as an installer would."""
    for name, text in [*BLOCKS, ("toy/__init__.py", "")]:
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    info = site / "toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vsrd_ray.labelers]\npaint = toy.spec:SPEC\n")
