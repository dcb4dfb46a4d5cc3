"""Training on a cluster: a loop with checkpoints, and for each method its graph of tasks.

Lives here: sgd, batch, funk and the standard SVD methods, each with its graph; the placed grid; warm starts.
Does not: the arithmetic of a task (tasks/training/).
May import: pipeline/models/, pipeline/cluster/, pipeline/root/, tasks/.
"""
