"""A small OpenStack over real HTTP on loopback: keystone, nova, neutron, glance and an OpenID Connect issuer.

It keeps state, answers in the words of the real services, and refuses what it does not know: an unknown path is 404, an
unknown key or query parameter 400. So a connector that passes here says nothing that a real cloud would not
understand; what it does *not* prove is what only the real ones know (`tests/lab/openstack_real` is for that).

Measured against a real OpenStack 2026.2 (nova 34, neutron 29, keystone 30, glance 33), and made so here:

* NoValidHost is no refusal: the create is answered with 202, and the server becomes ERROR with a `fault`.
* quotas are 403 at nova, a bad flavor or image is 400, a server that is gone 404; a second delete is 404.
* soft-anti-affinity needs a microversion of 2.15 or more; 2.90 works for list, create and server groups.
* listing pages by marker (106 servers with `limit=10`); `changes-since` is understood.
* an ended server is not listed any more for those who are no admins.
* two security groups of one name make a create that names them 409.
* neutron without L3 has no `floatingip` among its quotas.

From the API reference and the services' own sources, not measured: all other words of errors, 413 and 429, a page that
is full always having a next link, `UNKNOWN` servers without metadata where a cell is down (2.69), ports that were made
before the server outliving it, the order of neutron's checks, federation, application credentials' `expires_at`.
"""

from tests.lab.openstack_fake.cloud import FakeOpenStack

__all__ = ["FakeOpenStack"]
