"""A saved model: its files, and what one process computes from them.

Lives here: loading, predictions, recommendations, the canonical SVD, low-rank blocks, folding in new users.
Does not: training (tasks/training/), models larger than one process (pipeline/models/).
May import: tasks/parsing/ for raw ids, tasks/kernels/, tasks/storage/.
"""
