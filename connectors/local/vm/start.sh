#!/bin/sh
# Usage: /etc/clues/start NAME [OPTION...]: starts the service NAME (clues-agent, munge, slurmd), or starts it again.
#
# This image has no service manager. Root of a VM is a fake one if the sandbox was entered without privileges: it cannot
# call setgroups, on which Slurm and munge insist as root. So both run as an ordinary user, in a user namespace of their own.
# Where there are several users, and munge is one of them, each runs as whom it runs as on a real machine.
# The agent stays root: what it sets, routes and tunnels, belongs to the VM's network.
set -eu
if setpriv --reuid=munge --regid=munge --clear-groups true 2>/dev/null; then
    as_munge='setpriv --reuid=munge --regid=munge --clear-groups --'
    as_slurmd=''
else
    as_munge='unshare --user --map-user=1000 --map-group=1000 --'
    as_slurmd=$as_munge
fi

stop() { # stop PIDFILE: ends what an earlier start has left
    [ -s "$1" ] || return 0
    read -r old <"$1"
    kill "$old" 2>/dev/null || return 0
    tries=100
    while kill -0 "$old" 2>/dev/null && [ "$tries" -gt 0 ]; do sleep 0.05; tries=$((tries - 1)); done
}

stop_all() { # stop_all PIDFILE: the same for a leader of a process group and all that it has started
    [ -s "$1" ] || return 0
    read -r old <"$1"
    kill -- "-$old" 2>/dev/null || return 0
    tries=100
    while kill -0 -- "-$old" 2>/dev/null && [ "$tries" -gt 0 ]; do sleep 0.05; tries=$((tries - 1)); done
    kill -KILL -- "-$old" 2>/dev/null || :
}

name=$1
shift
case $name in
clues-agent)
    mkdir -p /run/clues
    stop_all /run/clues/agent.pid
    # Begun again when it ends, as its unit has it.
    # shellcheck disable=SC2016  # the inner shell expands it
    setsid --fork sh -c 'echo $$ >/run/clues/agent.pid
        while :; do "$@" || :; sleep 1; done' sh /etc/clues/agent "$@" </dev/null >>/var/log/clues-agent.log 2>&1
    ;;
munge | munged)
    mkdir -p /run/munge /var/lib/munge /var/log/munge
    stop /run/munge/munged.pid
    case $as_munge in setpriv*) chown munge:munge /run/munge /var/lib/munge /var/log/munge ;; esac
    # It returns when the socket is ready.
    $as_munge munged --force --key-file=/etc/munge/munge.key --socket=/run/munge/munge.socket.2 \
        --pid-file=/run/munge/munged.pid --seed-file=/var/lib/munge/munged.seed --log-file=/var/log/munge/munged.log "$@"
    ;;
slurmd)
    if [ $# -eq 0 ] && [ -r /etc/default/slurmd ]; then
        # shellcheck disable=SC1091
        . /etc/default/slurmd
        # shellcheck disable=SC2086  # options are words, as for the service of the Debian package
        set -- ${SLURMD_OPTIONS:-}
    fi
    mkdir -p /run/slurm /var/spool/slurmd /var/log/slurm
    stop /run/clues/slurmd.pid
    # A kernel that cannot give a VM its own boot time: -b, or slurmctld takes it for one that was not powered up since.
    [ ! -e /run/clues/no-boot-time ] || set -- -b "$@"
    # shellcheck disable=SC2016,SC2086  # the inner shell expands it; a command and its options
    setsid --fork sh -c 'echo $$ >/run/clues/slurmd.pid
        exec "$@"' sh $as_slurmd slurmd -D "$@" \
        </dev/null >>/var/log/slurm/slurmd.out 2>&1
    ;;
*)
    echo "start: this image has no service $name" >&2
    exit 1
    ;;
esac
