"""The daemon's HTTP API on a UNIX socket, `/v1`.

`wire.py` says what goes over the wire and imports nothing heavy, `views.py` makes it out of the daemon's
picture, `app.py` holds the routes, `server.py` the socket. Nothing is imported here: the command line uses
`wire.py` alone.
"""
