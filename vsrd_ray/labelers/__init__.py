"""Labelers: frame groups in, tables of labels out. Each is a folder of its own.

`base` says what a labeler is. Its spec, which the whole house may import, names its configuration, what it needs of a
drive and what kinds of label it writes; it plans groups, checks requests and builds the labeler. The labeler itself is
the only place for heavy imports: it prepares a group's pixels on a CPU, labels on its device, and turns what it found
into a table for each kind. `configs` finds the configurations of all of them.

    <name>/spec.py     SPEC: a `LabelerSpec`, without torch
    <name>/config.py   its settings: the dump is hashed, and the hash names runs
    <name>/configs/    YAML files that `--config` knows by name
    <name>/plan, labeler, commands, …

Owns: methods, their settings and priors, which frames are seen together.
Does not own: what a row of labels is and how good it is (`labels`), resuming and writing (`pipeline`, `runs`).
Labelers do not import each other. docs/extending.md adds one.
"""
