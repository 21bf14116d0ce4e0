"""Diffusion of one number per genotype. B genotypes, S samples each, T diffusion steps, h width."""
