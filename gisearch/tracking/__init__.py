"""The memory of a sweep: MLflow runs, provenance, and pictures of the results."""
