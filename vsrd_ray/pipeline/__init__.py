"""What a labelling run does, on whatever engine: no Ray, no method, no dataset is named here.

A request (`request`) is looked up once (`job`): its dataset, its labeler, the kinds of label that come of it. The
planner (`planner`, `plan`) opens and indexes drives and asks the labeler's spec for their groups, one drive ahead of
the one that is labelled. The ledger (`state`) gives groups out, takes results back, has them retried, and writes them
through the single writer (`vsrd_ray.runs.sink`). `work` is what happens to a group wherever it happens: load, prepare,
label, turn into tables. `queue` holds the protocols between a run and its engine; `pool` is the arithmetic of actors
and machines.

Owns: the order of a run, retry counts, progress, what is said at the end.
Does not own: how files lie in an output folder (`runs`), where workers run (`engines`), what a group is (`labelers`).
"""
