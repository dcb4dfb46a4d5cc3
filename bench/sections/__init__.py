"""What is compared: one file a part of the table, each with a `rows(bench)`."""
