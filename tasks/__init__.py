"""What one worker does to one block: plain functions on arrays and bytes, without Dask.

Covers: reading raw ratings, dense ids, blocks, the gradient step, scoring, the saved model.
Does not cover: which task runs when, where and within which memory (`pipeline`).
"""
