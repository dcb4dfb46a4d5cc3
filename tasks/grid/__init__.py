"""The grid: blocks of ratings, shards of factors, and the order in which an epoch visits them.

Lives here: cutting the matrix, block and shard files, sums and products over blocks, the bias baseline, the rule for
default settings.
Does not: training on them (tasks/training/).
May import: tasks/dataset/, tasks/kernels/, tasks/parsing/, tasks/storage/.
"""
