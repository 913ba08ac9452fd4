"""What everything works on: drives, views, frame groups, masks, the index and the truth. No dataset is named here.

`drive` holds what is known of a recording without a pixel, and asks its dataset for pixels by layer, sensor and frame.
`index` is one pass over a drive's masks: a row for each frame and instance, from which groups are planned. `groups` is
what is planned, sent to workers and labelled together. `masks` refines, encodes and softens instance masks; `classes`
is what a dataset's class table is; `truth` what true boxes are; `lookup` finds instances in frames by sorted keys.
`placement` and `pinhole` refuse poses and matrices that no camera on a vehicle has; `png` looks at images undecoded.

Owns: these types, the bytes of an index, class number * 1000 + instance number as the id of an instance.
Does not own: file formats (`datasets`), which groups there are (`labelers`).
"""
