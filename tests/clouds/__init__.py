"""Real clouds and what comes close to them: run by name (`./dev test openstack`), not with all the other tests."""
