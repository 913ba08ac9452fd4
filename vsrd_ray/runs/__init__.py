"""The output folder of a run: how it is laid out, written, resumed and read.

`paths` is the only module that spells a path in it. `manifest` is the only one that reads or writes manifest.json, and
`wellformed` says what has to be in it. `sink` is the single writer: it takes results of groups and writes indexes,
labels, marks and label texts, each file whole or not at all; `store` keeps the groups of one drive as fragments and,
later, as compacted files; `coverage` says which frames have all their groups. `tables` is all that is known here of a
kind of label: a schema, a folder, an order. `lock` lets one run at a time in. `folder` and `reading` are for what reads
runs, and name the file that cannot be read. `exports` writes folders of what was handed over, and tells what somebody
has edited in them.

Owns: the layout, which is a contract with tools outside; resuming after any kill; equal bytes for equal input.
Does not own: what a row means (`labels`), what is planned (`pipeline`).
"""
