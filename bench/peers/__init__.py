"""Programs that ours is measured beside: one file each, and each run in a process of its own."""
