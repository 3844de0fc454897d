"""OpenStack: nova, neutron and glance behind one keystone, through libcloud's driver.

`clouds` and `oidc` find credentials, `identity` turns them into one token for all threads, `api` is a thread's way to
the services; `catalogue`, `ports`, `gangs` and `servers` say what a VM is made from; `connector` puts them together.
"""

from connectors.openstack.plugin import PLUGIN

__all__ = ["PLUGIN"]
