"""What pictures of any kind of label are made of.

`drawing` draws masks, boxes and text into images, `birdseye` the street from above, `video` writes films and folders
of pictures, `page` an HTML page of sections, tables and pictures for kinds that have no page of their own.

Owns: colours, line widths, how a film is encoded, what a plain page looks like.
Does not own: which labels are shown and in which order: each kind of label has its own pictures and report.
"""
