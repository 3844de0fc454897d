"""Tells people of alarms where there is no Prometheus: by signed webhooks and by mail.

`message.py` makes what is sent (pure), `send.py` sends it, `notifier.py` keeps in mind what has been told to whom.
"""
