"""What becomes of a claim: asked for, taken in, changed, tried and ended."""
