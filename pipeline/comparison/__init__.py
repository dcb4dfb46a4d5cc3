"""Several methods on one dataset and split: their runs, and the table and pictures of what came of them."""
