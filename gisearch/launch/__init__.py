"""Launching sweeps elsewhere: through SLURM, or on a cluster that Ray's own launcher makes."""
