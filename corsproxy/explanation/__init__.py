"""Why one call of one page works or not, what browsers say of it, and the smallest change that would let it pass."""
