"""The overlay: the one private network on which all workers of a cluster meet, whichever site they run at.

An overlay implements `clues.ports.Overlay`: `plugin.py` is the one over OpenVPN, `flat.py` the one for sites that share
the front-end's network. `hub/` and `broker/` are processes of the front-end, `router/` is what a router VM is given;
they go by the inventory that an overlay publishes.
"""
