#!/bin/sh
# Usage: /etc/clues/power-off: ends this VM from inside. Its process 1 listens to nothing else.
kill -TERM 1
