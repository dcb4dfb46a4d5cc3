"""Effects of time: how a user rates on a day, and what an item is worth in a part of the years.

Lives here: the slots of ratings (a user on a day), effects of slots and of bins, their draws and means, ratings less
their effects.
Does not: compiled loops (tasks/kernels/blocks/time_sums.py), the training around them.
May import: tasks/grid/, tasks/kernels/, tasks/noise.py, tasks/storage/.
"""
