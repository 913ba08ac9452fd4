"""Every function on a local folder, on fsspec's own store in memory, and over HTTP on an S3 server."""

import pickle
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection, socket
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from upath import UPath

from vsrd_ray import storage
from vsrd_ray.errors import InputError, OutputError
from vsrd_ray.storage import Location, open_location
from vsrd_ray.storage.atomic import atomic_write

NUMBERS = pa.schema([("a", pa.int64())])


@pytest.fixture(params=["local", "memory", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """An empty place."""
    if request.param == "local":
        return tmp_path
    if request.param == "memory":
        return UPath(f"memory://{uuid.uuid4().hex}")
    return open_location(f"{request.getfixturevalue('s3')}/some/place")


@pytest.fixture
def place(s3: str) -> UPath:
    """An empty place on the S3 server."""
    location = open_location(f"{s3}/place")
    assert isinstance(location, UPath)
    return location


def write(path: Location, content: str | bytes) -> None:
    data = content.encode() if isinstance(content, str) else content
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def write_numbers(path: Location, *numbers: int) -> None:
    with atomic_write(path) as temporary:
        pq.write_table(pa.table({"a": numbers}, schema=NUMBERS), temporary)


def test_local_texts_are_paths() -> None:
    for text, path in (
        ("a b/c", "a b/c"),
        ("/x", "/x"),
        ("file:///x/a%20b", "/x/a b"),
    ):
        location = open_location(text)
        assert location == Path(path)
        assert storage.is_local(location)
    assert open_location(Path("x")) == Path("x")
    assert storage.absolute(Path("x")) == Path.cwd() / "x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ftp://host/x", "unknown scheme ftp://: give a local path, or one of s3://, gs://, az://, abfs://"),
        ("S3://", "s3://bucket/folder"),
        ("s3:///x", "without empty parts"),
        ("s3://bucket/a//b", "without empty parts"),
        ("s3://bucket/a/../../other", r"without .* '\.\.'"),
        ("file://elsewhere/x", "a file of another machine"),
    ],
)
def test_what_no_location_is_named(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_location(text)


def test_credentials_in_a_uri_are_refused_and_not_repeated() -> None:
    with pytest.raises(InputError, match="in the environment") as caught:
        open_location("s3://key:secret@bucket/x")
    assert "secret" not in str(caught.value)


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "find_spec", lambda _name: None)
    for scheme, package, extra in (("s3", "s3fs", "s3"), ("gs", "gcsfs", "gs"), ("abfs", "adlfs", "az")):
        with pytest.raises(InputError, match=rf"{package} is not installed: pip install 'vsrd-ray\[{extra}\]'"):
            open_location(f"{scheme}://bucket/x")


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/a", "a\\b", "a\0"])
def test_names_that_could_leave_a_folder_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"sequence .*: expected a plain name"):
        storage.plain_name(name, what="sequence")


def test_plain_names_stay_as_they_are() -> None:
    for name in ("2013_05_28_drive_0000_sync", "a b", "a..b", "[x]*"):
        assert storage.plain_name(name, what="sequence") == name


def test_nothing_is_in_a_folder_that_is_not_there(folder: Location) -> None:
    nowhere = folder / "nowhere"
    assert storage.listing(nowhere) == []
    assert storage.names_in(nowhere) == []
    assert storage.folders_in(nowhere) == []
    assert not storage.is_folder(nowhere)


def test_what_is_in_a_folder(folder: Location) -> None:
    write(folder / "b.txt", "four")
    write(folder / "a.txt", "")
    write(folder / "deeper" / "c.txt", "hidden from above")
    assert storage.names_in(folder) == ["a.txt", "b.txt"]
    assert storage.folders_in(folder) == ["deeper"]
    assert [name for name, _, _ in storage.listing(folder)] == ["a.txt", "b.txt", "deeper"]
    assert [size for _, size, _ in storage.listing(folder)][:2] == [0, 4]
    assert storage.is_folder(folder / "deeper")
    assert not storage.is_folder(folder / "b.txt")
    assert storage.names_in(folder / "b.txt") == []


def test_another_content_has_another_stamp(folder: Location) -> None:
    write(folder / "a.txt", "one")
    before = storage.listing(folder), storage.size_and_stamp(folder / "a.txt")
    assert before == (storage.listing(folder), storage.size_and_stamp(folder / "a.txt"))
    write(folder / "a.txt", "two")
    after = storage.listing(folder), storage.size_and_stamp(folder / "a.txt")
    assert after[0] != before[0]
    assert after[1] != before[1]
    with pytest.raises(FileNotFoundError):
        storage.size_and_stamp(folder / "nothing")


@pytest.mark.parametrize("size", [0, 1, 5, 9, 100])
def test_reading_a_file_or_its_ends(folder: Location, size: int) -> None:
    data = bytes(range(size))
    write(folder / "file", data)
    assert storage.read_bytes(folder / "file") == data
    assert storage.read_ends(folder / "file", head=5, tail=7) == (data[:5], data[-7:], size)


def test_reading_what_is_not_there(folder: Location) -> None:
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(folder / "nothing")
    with pytest.raises(FileNotFoundError):
        storage.read_ends(folder / "nothing", head=1, tail=1)
    with pytest.raises(FileNotFoundError):
        storage.read_table(folder / "nothing")


def test_removing_takes_the_named_files_alone(folder: Location) -> None:
    for name in ("a1.txt", "a[1].txt", "b*.txt", "bc.txt", "deeper/d.txt"):
        write(folder / name, "x")
    storage.remove([folder / "a[1].txt", folder / "b*.txt", folder / "deeper" / "d.txt", folder / "nothing"])
    assert storage.names_in(folder) == ["a1.txt", "bc.txt"]
    assert storage.names_in(folder / "deeper") == []
    storage.remove([folder / "nothing", folder / "nowhere" / "nothing"])
    storage.remove([])


def test_renaming_replaces_what_has_the_name(folder: Location) -> None:
    write(folder / "old", "old")
    write(folder / "new", "new")
    storage.rename(folder / "new", folder / "old")
    assert storage.names_in(folder) == ["old"]
    assert storage.read_bytes(folder / "old") == b"new"


def test_making_a_folder(tmp_path: Path) -> None:
    storage.make_folder(tmp_path / "a" / "b")
    storage.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_bringing_a_folder_to_its_place(folder: Location, tmp_path: Path) -> None:
    source = tmp_path / "source"
    write(source / "a.txt", "a")
    write(source / "deeper" / "b[1].txt", "b")
    storage.bring(source, folder / "target")
    assert storage.read_bytes(folder / "target" / "a.txt") == b"a"
    assert storage.read_bytes(folder / "target" / "deeper" / "b[1].txt") == b"b"


def test_one_table(folder: Location) -> None:
    path = folder / "key=value" / "table.parquet"
    write_numbers(path, 1, 2)
    assert storage.read_table(path).to_pydict() == {"a": [1, 2]}  # its folder gives no column
    wider = pa.schema([("a", pa.int32())])
    assert storage.read_table(path, schema=wider).schema == wider
    write(folder / "bad.parquet", "no Parquet")
    with pytest.raises(pa.ArrowInvalid):
        storage.read_table(folder / "bad.parquet")


def test_a_dataset_of_a_folder_or_of_files(folder: Location) -> None:
    sequence = pa.schema([("sequence", pa.string())])
    schema, partitioning = pa.schema([*NUMBERS, *sequence]), ds.partitioning(sequence, flavor="hive")
    files = [folder / "sequence=x" / "1.parquet", folder / "sequence=y" / "2.parquet"]
    write_numbers(files[0], 1)
    write_numbers(files[1], 2, 3)
    for source in (folder, files):
        table = storage.open_dataset(source, schema=schema, partitioning=partitioning).to_table().sort_by("a")
        assert table.to_pydict() == {"a": [1, 2, 3], "sequence": ["x", "y", "y"]}
    assert storage.open_dataset(files[1:], schema=NUMBERS).count_rows() == 2
    assert storage.open_dataset([], schema=schema, partitioning=partitioning).to_table().schema == schema


def test_locations_can_be_sent(folder: Location) -> None:
    write(folder / "a.txt", "a")
    data = pickle.dumps(folder)
    assert storage.names_in(pickle.loads(data)) == ["a.txt"]
    assert b"secret" not in data.lower()


def test_a_block_that_fails_changes_nothing(folder: Location) -> None:
    write(folder / "kept.txt", "old")
    for name in ("kept.txt", "new.txt"):
        with pytest.raises(RuntimeError, match="full"), atomic_write(folder / name) as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk full")
        assert not temporary.exists()
    with pytest.raises(FileNotFoundError), atomic_write(folder / "new.txt"):
        pass
    assert storage.names_in(folder) == ["kept.txt"]
    assert storage.read_bytes(folder / "kept.txt") == b"old"


def test_a_temporary_file_is_not_there_under_the_final_name_and_is_gone_afterwards(folder: Location) -> None:
    with atomic_write(folder / "film.mp4") as temporary:
        temporary.write_bytes(b"film")
        assert storage.names_in(folder) == ([temporary.name] if storage.is_local(folder) else [])
    assert not temporary.exists()
    assert storage.names_in(folder) == ["film.mp4"]


def test_a_reader_never_sees_half_an_object(place: UPath) -> None:
    contents = [letter * 300_000 for letter in (b"a", b"b")]
    write(place / "file", contents[0])
    seen, done = [], threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(storage.read_bytes(place / "file"))

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(20):
        write(place / "file", contents[turn % 2])
    done.set()
    reader.join()
    assert set(seen) <= set(contents)
    assert seen


def test_an_upload_that_is_cut_off_leaves_nothing(s3_server: str, place: UPath) -> None:
    write(place / "kept", "old")
    with cutting_proxy(s3_server, after=100_000) as endpoint:
        behind = impatient(str(place), endpoint)
        for name in ("kept", "new"):
            with pytest.raises(Exception, match=r"(?i)connect"):  # botocore's own, which is no OSError
                write(behind / name, b"x" * 2_000_000)
    assert storage.names_in(place) == ["kept"]
    assert storage.read_bytes(place / "kept") == b"old"


def test_another_process_is_seen(place: UPath) -> None:
    write(place / "first", "here")
    assert storage.names_in(place) == ["first"]
    code = (
        "import sys; from vsrd_ray.storage.atomic import atomic_write; from vsrd_ray.storage import open_location\n"
        "with atomic_write(open_location(sys.argv[1])) as temporary: temporary.write_text('there')"
    )
    subprocess.run([sys.executable, "-c", code, str(place / "second")], check=True)
    assert storage.names_in(place) == ["first", "second"]
    assert storage.read_bytes(place / "second") == b"there"


def test_a_store_that_refuses_is_bad_input(s3_server: str) -> None:
    unreachable = impatient("s3://bucket/x", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"s3://bucket/x: cannot be listed .*check the bucket, the credentials"):
        storage.names_in(unreachable)


def test_objects_that_cannot_be_removed_are_an_error(place: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place / "a.txt", "x")
    monkeypatch.setattr(place.fs, "rm", lambda _paths: None)  # what s3fs says of objects that it must not delete
    with pytest.raises(OutputError, match=r"a\.txt cannot be removed: allow this account to delete"):
        storage.remove([place / "a.txt"])


def impatient(uri: str, endpoint: str) -> UPath:
    """A location of a server that is asked once, and not again and again."""
    once = {"retries": {"max_attempts": 0}}
    location = UPath(uri, endpoint_url=endpoint, config_kwargs=once, use_listings_cache=False)
    location.fs.retries = 1
    return location


@contextmanager
def cutting_proxy(endpoint: str, *, after: int) -> Iterator[str]:
    """Endpoint of a proxy that breaks every connection off after some bytes have been sent through it."""
    host, port = endpoint.removeprefix("http://").split(":")

    class Cut(BaseRequestHandler):
        def handle(self) -> None:
            with create_connection((host, int(port))) as server:
                back = threading.Thread(target=pass_on, args=(server, self.request), daemon=True)
                back.start()
                pass_on(self.request, server, limit=after)
                server.shutdown(2)
                back.join()

    with ThreadingTCPServer(("127.0.0.1", 0), Cut) as proxy:
        proxy.daemon_threads = True
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}"
        proxy.shutdown()
        thread.join()


def pass_on(source: socket, target: socket, *, limit: int = sys.maxsize) -> None:
    """Send on what comes, until either end closes or there was too much."""
    try:
        while limit > 0 and (data := source.recv(min(limit, 1 << 16))):
            target.sendall(data)
            limit -= len(data)
    except OSError:
        return
