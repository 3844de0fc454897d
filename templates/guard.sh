#!/bin/sh
# Keeps from the users of this VM what its cloud tells it: the metadata service, which hands out user-data and may hand out
# credentials, answers root alone, and no container; and files that hold user-data are readable by root alone.
# POSIX sh; wants nft, or iptables with its owner match. Runs at boot before any job can, and now and then by the agent,
# since firewalls are flushed and files are written again.
#
# Usage: /etc/clues/guard. What could not be done is said on standard error; exit 1 then.
# CLUES_ROOT (a prefix for all files) is for tests.
set -u
export LC_ALL=C

root=${CLUES_ROOT:-}
PATH=$PATH:$root/usr/sbin:$root/sbin
ended=0

fail() {
    printf '%s\n' "$*" >&2
    ended=1
}

# Port 53 is left alone: at some clouds the same address answers for names. Packets that are forwarded come from containers.
with_nft() {
    nft list chain inet clues_guard output >/dev/null 2>&1 && return 0
    nft -f - 2>&1 <<'END'
table inet clues_guard
delete table inet clues_guard
table inet clues_guard {
    chain metadata {
        ip daddr 169.254.169.254 tcp dport != 53 reject with tcp reset
        ip6 daddr fd00:ec2::254 tcp dport != 53 reject with tcp reset
    }
    chain output {
        type filter hook output priority -10; policy accept;
        meta skuid != 0 jump metadata
    }
    chain forward {
        type filter hook forward priority -10; policy accept;
        jump metadata
    }
}
END
}

with_iptables() { # iptables ADDRESS, or ip6tables ADDRESS
    set -- "$1" -d "$2" -p tcp ! --dport 53
    program=$1
    shift
    "$program" -w -C FORWARD "$@" -j REJECT 2>/dev/null || "$program" -w -I FORWARD "$@" -j REJECT || return 1
    set -- "$@" -m owner ! --uid-owner 0 -j REJECT
    "$program" -w -C OUTPUT "$@" 2>/dev/null || "$program" -w -I OUTPUT "$@"
}

guard_service() {
    if command -v nft >/dev/null; then
        words=$(with_nft) && return 0
    else
        words='there is no nft'
    fi
    if command -v iptables >/dev/null; then
        words=$(with_iptables iptables 169.254.169.254 2>&1) || { fail "users reach the metadata service: $words"; return; }
        [ ! -e /proc/net/if_inet6 ] || words=$(with_iptables ip6tables fd00:ec2::254 2>&1) ||
            fail "users reach the metadata service: $words"
        return 0
    fi
    fail "users reach the metadata service: $words, and no iptables"
}

# What cloud-init and one-context leave behind, and a context that is still mounted: an image of a CD knows no modes.
guard_files() {
    for file in "$root"/var/lib/cloud/instances/*/user-data* "$root"/var/lib/cloud/instances/*/vendor-data* \
        "$root"/var/lib/cloud/instances/*/cloud-config.txt "$root"/var/lib/cloud/instances/*/obj.pkl \
        "$root"/var/lib/cloud/instances/*/scripts "$root"/var/lib/cloud/seed "$root"/run/one-context* \
        "$root"/var/run/one-context* "$root"/var/lib/one-context* "$root"/tmp/one_env; do
        if [ -e "$file" ]; then chmod -R go= "$file" || fail "$file is open to users"; fi
    done
    for place in "$root"/mnt "$root"/mnt/* "$root"/media/*; do
        for file in "$place/context.sh" "$place/openstack/latest/user_data"; do
            [ -e "$file" ] || continue
            chmod go= "$file" 2>/dev/null || umount "$place" || fail "$file is open to users"
        done
    done
}

guard_service
guard_files
exit "$ended"
