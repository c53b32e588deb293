"""Back ends: one file or folder for each store; a driver is imported nowhere else."""
