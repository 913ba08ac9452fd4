import numpy as np
import pytest
from scipy.spatial import ConvexHull

from vsrd_ray.errors import InputError
from vsrd_ray.labelers.vsrd.bodies import Body, random_car
from vsrd_ray.labelers.vsrd.meshes import mesh_files, read_mesh, surface_points
from vsrd_ray.labelers.vsrd.priors import load_prior, prior_of_meshes
from vsrd_ray.labelers.vsrd.shapefit import fit_body, outer_points

HALF = np.array([0.9, 0.75, 2.2])  # of width, height and length, metres
CUBOID = [(x, y, z) for x in (-2, 2) for y in (-0.8, 0.8) for z in (0, 1.5)]
QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


def triangles_of(body):
    """A body's mesh as files have it, metres: x forward, y left, z up, standing at z = 0; its faces."""
    vertices, faces = [], []
    for solid in body.solids:
        faces += (ConvexHull(solid).simplices + sum(map(len, vertices))).tolist()
        vertices.append((solid * HALF)[:, [2, 0, 1]] * [1, -1, -1] + [0, 0, HALF[1]])
    return np.concatenate(vertices), faces


def write_obj(path, vertices, faces):
    lines = [f"v {x} {y} {z}" for x, y, z in vertices]
    path.write_text("\n".join(["# a car", *lines, *(f"f {' '.join(f'{i + 1}//1' for i in face)}" for face in faces)]))
    return path


def ply_header(form, faces=QUADS):
    return (
        f"ply\nformat {form} 1.0\ncomment a box\nelement vertex 8\nproperty float x\nproperty float y\n"
        f"property float z\nproperty uchar red\nelement face {len(faces)}\n"
        "property list uchar int vertex_indices\nend_header\n"
    )


def binary_ply(order):
    name = {"<": "binary_little_endian", ">": "binary_big_endian"}[order]
    vertex = np.dtype([("xyz", order + "f4", 3), ("red", "u1")])
    face = np.dtype([("count", "u1"), ("index", order + "i4", 4)])
    vertices = np.array([(corner, 200) for corner in CUBOID], vertex)
    return ply_header(name).encode() + vertices.tobytes() + np.array([(4, quad) for quad in QUADS], face).tobytes()


def ascii_ply():
    rows = [*(f"{x} {y} {z} 200" for x, y, z in CUBOID), *(f"4 {' '.join(map(str, quad))}" for quad in QUADS)]
    return (ply_header("ascii") + "\n".join(rows)).encode()


@pytest.mark.parametrize("content", [ascii_ply(), binary_ply("<"), binary_ply(">")], ids=["ascii", "little", "big"])
def test_ply_files_are_what_they_say(content, tmp_path):
    (tmp_path / "box.ply").write_bytes(content)
    mesh = read_mesh(tmp_path / "box.ply")
    np.testing.assert_allclose(mesh.vertices, CUBOID, atol=1e-6)
    assert mesh.triangles.tolist() == [t for a, b, c, d in QUADS for t in ([a, b, c], [a, c, d])]


def test_obj_files_count_from_either_end(tmp_path):
    path = tmp_path / "box.obj"
    corners = "\n".join(f"v {x} {y} {z}" for x, y, z in CUBOID)
    path.write_text(f"mtllib none.mtl\n{corners}\nvn 0 0 1\nusemtl paint\nf 1/1/1 2/2/1 3/3/1\nf -1 -2 -3\n")
    assert read_mesh(path).triangles.tolist() == [[0, 1, 2], [7, 6, 5]]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "without faces"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nf 1 2 3\n", "vertices that are not there"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv nan 0 0\nf 1 2 3\n", "no number"),
        ("a.obj", b"v 0 0 zero\n", "cannot|can be read"),
        ("a.obj", b"v 0 0 0\nf 0 1 1\n", "count from 1"),
        ("a.ply", b"not a ply", "no header"),
        ("a.ply", ascii_ply()[:-9], "cut off"),
        ("a.ply", binary_ply("<")[:-9], "can be read"),
    ],
)
def test_bad_files_are_refused_by_name(name, content, reason, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: .*({reason})"):
        read_mesh(tmp_path / name)


def test_places_without_a_mesh_are_refused(tmp_path):
    for place, reason in ((tmp_path, "no mesh in it"), (tmp_path / "gone.obj", "no such file")):
        with pytest.raises(InputError, match=reason):
            mesh_files(place)
    (tmp_path / "car.stl").touch()
    with pytest.raises(InputError, match=r"not a mesh by its name: give \.obj or \.ply"):
        mesh_files(tmp_path / "car.stl")


def test_a_folder_holds_its_meshes_by_name(tmp_path):
    for name in ("b.PLY", "a.obj", "notes.txt"):
        (tmp_path / name).touch()
    assert [file.name for file in mesh_files(tmp_path)] == ["a.obj", "b.PLY"]


def test_a_vehicle_along_another_axis_is_refused(tmp_path):
    turned = write_obj(tmp_path / "turned.obj", np.array(CUBOID)[:, [1, 0, 2]], QUADS)
    with pytest.raises(InputError, match=r"turned\.obj: 1\.6 long, 4 wide .*x forward, y left, z up"):
        prior_of_meshes("car", [turned], samples=10)


def test_points_lie_on_the_surface_in_the_axes_of_bodies(tmp_path):
    vertices, faces = triangles_of(random_car(np.random.default_rng(5)))
    mesh = read_mesh(write_obj(tmp_path / "car.obj", vertices * 3 + [7, -2, 1], faces))  # in any unit, anywhere
    points, half = surface_points(mesh, count=500, seed=0, name="car")
    np.testing.assert_allclose(half / half[2], HALF / HALF[2], atol=1e-3)
    distances = random_car(np.random.default_rng(5)).signed_distances(points * HALF, HALF)
    assert np.abs(points).max() <= 1 + 1e-9
    assert (distances < 1e-3).all() and (distances > -1e-3).mean() > 0.5  # the others lie inside another solid


def test_points_inside_are_not_seen():
    corners = np.random.default_rng(0).uniform(-1, 1, (20_000, 3))
    shell = corners / np.abs(corners).max(axis=1, keepdims=True)
    outer = outer_points(np.concatenate([shell, 0.3 * shell]))
    assert outer[:20_000].sum() > 1000 and not outer[20_000:].any()


def test_bodies_are_fitted_to_what_the_mean_body_is_not(tmp_path):
    """The body lies within 1.2 % of the half length of a car's surface, and the mean one half as far again."""
    usual, true = load_prior("car"), random_car(np.random.default_rng(11))
    mesh = read_mesh(write_obj(tmp_path / "car.obj", *triangles_of(true)))
    points, half = surface_points(mesh, count=20_000, seed=0, name="car")
    fitted = fit_body(points, half, mean=usual.mean, basis=usual.basis)
    outer = points[outer_points(points)]
    distances = (np.abs(Body(body).signed_distances(outer * HALF, HALF)) for body in (fitted, usual.mean))
    off, before = (one.mean() / HALF[2] for one in distances)
    assert off < 0.012 and off < before / 1.5
    left = fitted[:28].reshape(2, 14, 3)
    np.testing.assert_allclose(left[0] * [-1, 1, 1], left[1], atol=1e-12)


def test_a_prior_of_meshes_fills_its_box_and_comes_again(tmp_path):
    files = [
        write_obj(tmp_path / f"{seed}.obj", *triangles_of(random_car(np.random.default_rng(seed)))) for seed in (1, 2)
    ]
    told = []
    prior = prior_of_meshes("car", files, samples=60, latents=3, progress=lambda *counts: told.append(counts))
    again = prior_of_meshes("car", files, samples=60, latents=3)
    assert np.array_equal(prior.mean, again.mean) and np.array_equal(prior.basis, again.basis)
    assert told == [(1, 2), (2, 2)] and prior.basis.shape == (3, 90, 3)
    np.testing.assert_allclose([prior.mean.min(axis=0), prior.mean.max(axis=0)], [[-1] * 3, [1] * 3], atol=1e-5)
