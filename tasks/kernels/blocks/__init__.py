"""The compiled loops that move ratings from parts of a dataset to blocks.

Lives here: a part cut into pieces, one for each block (cut.py), and a block put in order from its pieces (runs.py).
Does not: the same by NumPy, which small sets take, and the files of pieces (tasks/grid/pieces.py).
May import: tasks/kernels/.
"""
