"""A dataset: ratings with dense ids, in parts by user, and the validation ratings.

Lives here: numbering ids, bucketing and sorting rows, writing parts, holding out, matching ids of two datasets.
Does not: parsing (tasks/parsing/), blocks (tasks/grid/).
May import: tasks/model/, tasks/parsing/, tasks/storage/, tasks/kernels/ingest/.
"""
