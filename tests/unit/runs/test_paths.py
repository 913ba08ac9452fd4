import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[3] / "vsrd_ray"
# A path below an output folder, spelled where it is used: `output / "labels"`.
SPELLED = re.compile(r"""\boutput / f?["']""")


def test_one_module_spells_the_paths_of_an_output_folder():
    # Masks of a run are read as any file of masks is, below the floor of runs.
    allowed = {PACKAGE / "runs" / "paths.py", PACKAGE / "masks" / "formats" / "run.py"}
    # The output of `vsrd-ray density` is no run's.
    allowed.add(PACKAGE / "labelers" / "density" / "networks" / "own_images.py")
    spelling = {path for path in PACKAGE.rglob("*.py") if SPELLED.search(path.read_text())}
    assert allowed >= spelling
    readers = {
        path
        for path in PACKAGE.rglob("*.py")
        if "manifest.json" in path.read_text() and "json.loads" in path.read_text()
    }
    assert readers == {PACKAGE / "runs" / "manifest.py"}
