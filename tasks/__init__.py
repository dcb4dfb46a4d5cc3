"""The work of one worker: plain functions on arrays, files and bytes, without Dask.

Lives here: reading ratings, dense ids, blocks, kernels, training, saved models, evaluation; a folder each.
Does not: which task runs when, where and within which memory (pipeline/).
May import: NumPy, pandas, pyarrow, fsspec; numba within kernels/ alone; never `funkflow.pipeline`, never Dask.
"""
