"""A real OpenStack on one machine: keystone, nova with its fake hypervisor, neutron, glance, placement.

Everything is upstream's own, from its releases; MariaDB and RabbitMQ are Debian's. Two things are made up: the VMs,
which nova's fake driver keeps in a table and never boots, and the one row in neutron's list of agents, without which it
would bind no port. ``install`` brings the programs, ``cloud`` starts and ends them, ``seed`` fills an empty cloud once.
"""

from tests.lab.openstack_real.cloud import OpenStack

__all__ = ["OpenStack"]
