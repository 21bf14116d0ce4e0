"""The training loop in plain PyTorch: plain objects in, a ``report`` callable out."""
