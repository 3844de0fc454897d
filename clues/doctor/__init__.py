"""``clues doctor``: looks at all that has to be right before a job gets its node, and says what to do about it.

It changes nothing, and needs no daemon.

:mod:`.frontend`, :mod:`.listening` and :mod:`.clock` look at this machine, :mod:`.sites` at the clouds;
:mod:`.examination` does it all at once and waits for none too long.
"""
