"""Training: the loop that all networks of labelers are trained by, in one process or in many, to equal losses.

A labeler says what is trained (`base.Trainable`): samples, a network, losses as sums. This floor does the rest: the
order of samples and every draw from seeds (`draws`), sums over workers (`sums`), optimiser and schedule (`optimiser`),
checkpoints (`checkpoints`), what is seen of it (`watch`), and the loop itself (`loop`). It knows no Ray, no labeler and
no dataset; `vsrd_ray.engines.ray_train` runs the same loop in the workers of Ray Train.

`base`, `settings` and `record` import no torch, so that specs and `vsrd-ray status` need not wait for it.
"""
