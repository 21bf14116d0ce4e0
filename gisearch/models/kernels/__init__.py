"""What the kernel model is made of: kernels between genes, kernels between genotypes, and their solution."""
