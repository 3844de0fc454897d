# Process 1 of a VM: plugs in the cable, mounts the VM's own folders, runs user-data, then reaps orphans until it is killed.
#
# It starts in the VM's folder, which stays its working directory: so its files can be reached whatever is mounted over
# their paths. Standard input is user-data, standard output a pipe to whoever launched the VM, standard error the console.
set -eu
umask 022
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
# shellcheck disable=SC1091
. ./hardware # LINK BRIDGE MAC ADDRESS PREFIX GATEWAY NAME ROOM BOOT_SECONDS LIFE_SECONDS REGISTERS

# /proc still is the outer one here: it tells the process id and start time that others see. Whoever makes the file
# `process` owns this instance; a second starter of the same one, or one that terminate() has forestalled, ends here.
# shellcheck disable=SC2034  # the names count the fields
read -r pid comm state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime cutime cstime \
    priority nice threads itreal start rest </proc/self/stat
echo "$pid $start $ROOM" >"process.$pid"
ln "process.$pid" process 2>/dev/null || { rm -f "process.$pid"; echo taken; exit 0; }
rm "process.$pid"

# The host's end always has the same hardware address, so that a bridge which takes the lowest one of its ports keeps its
# own; the VM's is made from its address, so that nobody's ARP table is wrong about the next VM with that address.
nsenter --net=/proc/self/fd/8 ip -batch - <<END
link add $LINK address fe:00:00:00:00:01 type veth peer name eth0 address $MAC netns /proc/$pid/ns/net
link set $LINK master $BRIDGE up
END
ip -batch - <<END
link set lo up
link set eth0 addrgenmode none
addr add $ADDRESS/$PREFIX dev eth0
link set eth0 up
route add default via $GATEWAY
END
exec 8<&-
hostname "$NAME"

mount --bind . /mnt
mount --fstab fstab --all
umount --no-canonicalize --lazy /mnt

mkdir -m 700 /run/clues
(umask 077 && cat >/run/clues/user-data)
# Nobody may hear it any more: whoever launched the VM was killed meanwhile, or has waited for long enough.
echo up 2>/dev/null || :
exec </dev/null >&2

[ "$BOOT_SECONDS" = 0 ] || sleep "$BOOT_SECONDS"
: >running
cd /
# The machine has booted between one and two seconds before its user-data, not when the kernel did. At least one: slurmctld
# reckons the boot time in whole seconds from a rounded uptime, and sets down a node that has booted after its first word.
booted=
if [ -e /proc/self/ns/time_for_children ]; then
    read -r uptime rest </proc/uptime
    booted="unshare --time --boottime -$((${uptime%.*} - 1)) --fork --kill-child --"
else
    : >/run/clues/no-boot-time
fi
if [ "$REGISTERS" = 1 ]; then
    # Not in the background: a shell starts background commands with SIGINT ignored, and every job would inherit that.
    ended=0
    # shellcheck disable=SC2086  # a command and its options
    env -i PATH="$PATH" HOME=/root LANG=C.UTF-8 $booted sh /run/clues/user-data || ended=$?
    echo "user-data ended: $ended"
fi
rm -f /run/clues/user-data
trap 'echo "powered off from inside"; exit 0' TERM # by /etc/clues/power-off; everything in the VM ends with this
[ "$LIFE_SECONDS" = 0 ] || { sleep "$LIFE_SECONDS" & wait $!; exit 1; }
# While it waits for one child the shell reaps all the others that are handed to it.
while :; do sleep 1000000 & wait $! || :; done
