"""Bearer tokens of an OpenID provider: whose they are, and what they give.

``verifier.py`` checks a token, ``keys.py`` holds the issuer's keys, ``discovery.py`` asks for them, ``roles.py`` makes
a caller of a token's claims, ``door.py`` stands before every request, ``listener.py`` listens. Only a daemon that
listens for other machines loads this.
"""
