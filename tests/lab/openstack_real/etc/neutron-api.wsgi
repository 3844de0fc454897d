# neutron 29 answers the first request of a process for ports with 500 (type object 'Port' has no attribute
# 'port_forwardings'): SQLAlchemy makes that attribute when a process first asks the database for anything.
from neutron.wsgi.api import application  # noqa: F401
from sqlalchemy.orm import configure_mappers

configure_mappers()
