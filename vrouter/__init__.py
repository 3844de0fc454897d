"""The overlay: the one private network on which all workers of a cluster meet, whichever site they run at.

An overlay implements `clues.ports.Overlay`; the flat one is for sites that share the front-end's network.
"""
