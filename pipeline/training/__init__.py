"""Training on a cluster: what all methods share, such as the loop with checkpoints and the placed grid.

Lives here: jobs, checkpoints, the placed grid, step sizes, warm starts; in methods/ each method with its graph.
Does not: the arithmetic of a task (tasks/training/).
May import: pipeline/models/, pipeline/cluster/, pipeline/root/, tasks/.
"""
