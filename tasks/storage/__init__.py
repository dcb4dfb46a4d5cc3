"""Files and arrays, on disks and object stores.

Lives here: reading and writing whole files, `.npy` arrays, Arrow groups, Zarr arrays, paths, versions of files.
Does not: what the files mean.
May import: tasks/errors.py and tasks/redact.py.
"""
