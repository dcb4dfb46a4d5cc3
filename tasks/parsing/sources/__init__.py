"""The files that hold ratings, and the pieces in which they are read.

Lives here: listing files, known layouts of folders, archives and compression, chunks, columns in folder names.
Does not: the format of a file (format/), its rows (rows/).
May import: tasks/storage/.
"""
