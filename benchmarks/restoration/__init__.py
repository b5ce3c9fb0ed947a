"""Denoising, super-resolution and deblurring: ours beside what others do, on the same degraded images."""
