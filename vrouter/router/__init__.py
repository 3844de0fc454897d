"""A site's router, and the tunnel of a worker that is attached directly: what the VM gets, and what it is told later.

All of it is text made from values. What runs on the VM is OpenVPN, nftables and `templates/agent.sh`.
"""

from vrouter.router.client import Hub
from vrouter.router.provision import provision
from vrouter.router.settings import settings_lines
from vrouter.router.shortcuts import shortcut_pairs

__all__ = ["Hub", "provision", "settings_lines", "shortcut_pairs"]
