"""Maintenance: a site that is to be empty for a time, without a job being killed for it."""
