"""Rows out of text, Parquet and JSON lines: good ones, and bad ones with the reason.

Lives here: a fast and an obvious parser for text, one conversion for typed columns, transformed ratings.
Does not: guessing a format (format/).
May import: format/, sources/, tasks/storage/ and tasks/kernels/ingest/.
"""
