"""Raw ratings of any format as rows of users, items, ratings and times.

Lives here: sources/ (files), format/ (their layout), rows/; pairs, titles, raw ids, erased ids, samples.
Does not: dense ids and the parts of a dataset (tasks/dataset/).
May import: tasks/storage/, tasks/kernels/ingest/.
"""
