"""What the jobs want, and what room there is for them: nothing here buys."""
