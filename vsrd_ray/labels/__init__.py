"""Kinds of label: what a row is, how good rows are, how they look and are handed over. Each is a folder of its own.

`base` says what a kind is: its table (schema, folder, order of rows, and label texts where it has some), and what it
brings to `vsrd-ray evaluate`, `export` and `report`, with options and commands of its own. A labeler names the kinds
that it writes; several labelers may write one kind, and are then measured and shown by the same code. `spread` is how
evaluations go through the drives of a run, here or on a cluster.

    <name>/spec.py     SPEC: a `Kind`; what is heavy is imported where it is used
    <name>/…           schema, rows, truth, evaluation, formats, pictures, report

Owns: schemas of labels, metrics, formats of others, corrections by people, pictures and reports of labels.
Does not own: how labels come about (`labelers`), how their files are written and resumed (`runs`).
Kinds do not import each other. docs/extending.md adds one.
"""
