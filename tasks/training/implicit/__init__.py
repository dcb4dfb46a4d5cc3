"""Who rated what: the part of a factorisation that does not look at the ratings, only at their pairs.

Lives here: products with the matrix of known pairs over rows of blocks, and regression on it in the space of items.
Does not: the compiled loops (tasks/kernels/blocks/), what methods make of it (tasks/training/posterior/).
May import: tasks/grid/, tasks/kernels/.
"""
