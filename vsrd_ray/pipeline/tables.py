"""Arrow tables as bytes: how small tables travel in a column of a Ray Data row."""

import pyarrow as pa


def to_bytes(table: pa.Table) -> bytes:
    """The table as an Arrow IPC stream."""
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue().to_pybytes()


def from_bytes(data: bytes) -> pa.Table:
    """The inverse of `to_bytes`, schema metadata included."""
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()
