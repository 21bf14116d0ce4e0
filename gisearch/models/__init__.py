"""Models and their layers: plain PyTorch, knowing nothing of Ray, Optuna or MLflow."""
