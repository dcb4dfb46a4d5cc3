"""Files and arrays, on disks and object stores.

Lives here: reading and writing whole files, `.npy` arrays, Arrow groups, Zarr arrays, paths, versions of files;
columns between Arrow and NumPy.
Does not: what the files mean.
May import: tasks/errors.py, tasks/late.py and tasks/redact.py.
"""
