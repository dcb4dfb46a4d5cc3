"""The files of ratings, and the pieces that tasks read.

Lives here: listing files, known layouts of folders, archives and compression, chunks, columns in folder names.
Does not: the format of a file (format/), its rows (rows/).
May import: tasks/storage/.
"""
