"""Ray Data as an engine: groups stream through tasks that load them to a pool of actors that label them.

`session` gives a Ray for as long as a run needs it, `stages` builds the stream and supplies it, never more than some
batches ahead of the results; `actors` is what runs on workers, `attempts` counts failures outside their processes,
`deadline` ends what hangs, `feed` is the way of planned groups into the stream, `startable` asks an autoscaler what it
may start, `metrics` is what Prometheus sees. `indexing` and `evaluating` are plain tasks, a chunk of frames or a
drive.

Owns: everything that imports Ray.
Does not own: what a group's work is (`vsrd_ray.pipeline.work`), what counts as done (`vsrd_ray.pipeline.state`).
"""
