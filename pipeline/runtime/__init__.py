"""What every stage leans on: the cluster, the store, checkpoints, events, budgets."""
