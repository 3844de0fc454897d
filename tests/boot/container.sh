#!/bin/bash
# container.sh ROOT VENV CGROUP: become systemd, PID 1 of a container whose root is ROOT. Run in fresh mount, UTS, IPC
# and network namespaces. Programs and libraries are this machine's own, mounted read-only; all else is ROOT's.
set -euo pipefail
root=$1 venv=$2 cgroup=$3

# A cgroup of its own, which is the root of all that systemd sees: else it would take the machine's for its own.
# The machine may have cgroup2 mounted anywhere, or nowhere.
mount --make-rprivate /
mount -t cgroup2 cgroup2 "$root/sys"
mkdir -p "$root/sys/$cgroup"
echo $$ >"$root/sys/$cgroup/cgroup.procs"
umount "$root/sys"

mount --bind "$root" "$root"
mount --rbind /usr "$root/usr"
mount -o remount,bind,ro "$root/usr"
mount --bind "$venv" "$root/opt/clues/venv"
mount -o remount,bind,ro "$root/opt/clues/venv"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
# open to all, as Debian has it: what one may do with it is a matter of capabilities
mkdir "$root/dev/net"
mknod -m 0666 "$root/dev/net/tun" c 10 200
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"

# Slurm resolves no name on a machine that has the loopback alone.
ip link add front type bridge
ip address add 10.77.0.1/16 dev front
ip link set front up
# systemd-sysctl cannot set it where /proc/sys is read-only
echo 1 >/proc/sys/net/ipv4/ip_forward

# shellcheck disable=SC2016  # the inner shell expands it
exec unshare --cgroup --pid --fork --kill-child --propagation unchanged --mount -- bash -euc '
cd "$1"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
pivot_root . old
umount -l /old
# as on a machine: what systemd mounts for a service (its credentials) is seen by the others
mount --make-rshared /
# systemd inherits nothing of who started this
exec env -i container=box PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --log-target=journal </dev/null
' bash "$root"
