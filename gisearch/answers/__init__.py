"""From a finished sweep to answers: confirmation, ablation, the report."""
