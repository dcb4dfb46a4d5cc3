"""One file a box of the dataflow; a stage imports no other stage."""
