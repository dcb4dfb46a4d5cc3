"""Training: what each method does to a block, a shard or a row, and when it stops.

Lives here: sgd, batch, funk, standard SVD methods, scoring, early stopping, warm starts; draws of a posterior
(posterior/).
Does not: the graphs of tasks (pipeline/training/).
May import: tasks/grid/, tasks/model/, tasks/dataset/, tasks/kernels/.
"""
