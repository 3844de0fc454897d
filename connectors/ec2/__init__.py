"""AWS EC2: one account in one region.

libcloud signs and carries the calls (:mod:`.api`); what is asked and how it is read is told here, since its driver does
not page, knows no client token and fails on errors with more than two parts.
"""

from connectors.ec2.plugin import PLUGIN

__all__ = ["PLUGIN"]
