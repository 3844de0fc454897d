"""What the sites can give now: limits, quotas, and what failures have taught."""
