"""``clues simulate``: what a configuration would have made of a trace of jobs, beside others and beside its peers."""
