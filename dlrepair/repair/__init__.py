"""The repair ladder: one module a strategy; ``ladder`` alone acts, journals and undoes."""
