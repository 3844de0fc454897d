"""The central point: one OpenVPN server on the front-end, to which routers and directly attached workers connect.

It decides nothing. Whom it lets in, and with which addresses, the broker tells it (:mod:`vrouter.broker`).
"""
