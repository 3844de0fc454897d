"""AWS on this machine: moto's server behind a front that mends what moto gets wrong, and is strict where moto is lax.

What is moto's: instances, volumes, network cards, subnets, images, types, routes, console, STS, the metadata service,
and the form of nearly all answers. What is ours is told at the place where it is done (:mod:`.signatures`,
:mod:`.strictness`, :mod:`.groups`, :mod:`.answers`), by AWS's documentation, since AWS itself could not be asked:
signatures, client tokens, addresses in use, placement groups, and refusals on demand.
"""
