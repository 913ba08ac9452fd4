"""Ground truth as datasets give it. Evaluation and pictures read it; nothing that labels does."""

BOXES = "boxes"  # the kind of label that true boxes are of
