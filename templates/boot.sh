#!/bin/sh
# The second part of a VM's boot, which comes with the answer to its enrolment: name, mounts, hooks, checks, services.
# The same for every cloud. POSIX sh; wants the usual small tools.
#
# Usage: /etc/clues/boot FOLDER, run by user-data. In FOLDER are the plan (lines `set`, `mount` and `service`, checked
# when they came) and the log; standard error is the log, too, and descriptor 3 the console. Left there: `step`, where it
# is, for the last word of a boot that fails or is ended from outside; and `told`, lines for the word that it has started.
#
# Nothing is waited for without a bound: a service, a hook or a driver that hangs ends the boot with its name.
set -eu
umask 077
export LC_ALL=C

cd /
state=$1
root=${CLUES_ROOT:-}
PATH=$PATH:$root/usr/sbin:$root/sbin
etc=$root/etc/clues

say() {
    printf 'clues: %s\n' "$*" >&2
    printf 'clues: %s\n' "$*" >&3 2>/dev/null || :
}

fail() { say "$*"; exit 1; }

now() { read -r uptime _ </proc/uptime && uptime=${uptime%%.*}; } # the clock may still be set while we boot

at() { printf '%s\n' "$1" >"$state/step"; }

tell() { printf '%s\n' "$*" >>"$state/told"; }

# value KEY: of a line KEY='value' of boot.conf
value() { sed -n "s|^$1='\([^']*\)'\$|\1|p" "$etc/boot.conf" 2>/dev/null | tail -n 1; }

# bounded SECONDS COMMAND...: fails with 124 when it has not ended by then. What hangs in the kernel (a driver) nothing
# can kill: it is left alone.
bounded() {
    timeout -k 5 "$@" &
    child=$!
    now
    most=$((uptime + $1 + 8))
    while kill -0 "$child" 2>/dev/null; do
        now
        [ "$uptime" -lt "$most" ] || return 124
        sleep 0.05 2>/dev/null || sleep 1
    done
    result=0
    wait "$child" || result=$?
    [ "$result" != 137 ] || [ "$uptime" -lt $((most - 8)) ] || result=124 # it had to be killed
    return "$result"
}

# put MODE PATH: standard input becomes this file in one step
put() {
    cat >"$root$2.clues-new" && chmod "$1" "$root$2.clues-new" && mv -f "$root$2.clues-new" "$root$2"
}

# A hook or a service ends with us.
trap '[ -z "${child:-}" ] || kill "$child" 2>/dev/null; exit 143' TERM

# --- settings -----------------------------------------------------------------------------------------------------

set_hostname() {
    at hostname
    mkdir -p "$root/etc"
    printf '%s\n' "$1" | put 644 /etc/hostname
    # cloud-init would set its own name again at the next boot
    [ ! -d "$root/etc/cloud/cloud.cfg.d" ] || echo 'preserve_hostname: true' | put 644 /etc/cloud/cloud.cfg.d/99-clues.cfg
    [ -z "$root" ] || return 0
    read -r present </proc/sys/kernel/hostname
    [ "$present" != "$1" ] || return 0
    hostname "$1" || bounded 30 hostnamectl set-hostname "$1" || fail "the name could not be set to $1"
}

set_slurmd_options() {
    at settings
    options=$1
    for folder in default sysconfig; do
        if [ "$folder" = default ] || [ -d "$root/etc/$folder" ]; then
            mkdir -p "$root/etc/$folder"
            printf 'SLURMD_OPTIONS="%s"\n' "$1" | put 644 "/etc/$folder/slurmd"
        fi
    done
}

# --- services -----------------------------------------------------------------------------------------------------

start() { # start NAME OPTION...
    at "start $1"
    (umask 022 && start_service "$@") 3>&- || fail "$1 could not be started"
}

start_service() {
    if [ -d "$root/run/systemd/system" ]; then
        bounded 60 systemctl daemon-reload
        systemctl is-enabled --quiet "$1" || systemctl enable --quiet "$1" || :
        bounded 120 systemctl restart "$1" && return
        bounded 20 journalctl -u "$1" -n 15 --no-pager -o cat >&2 || :
        return 1
    elif [ -x "$root/etc/clues/start" ]; then
        bounded 120 "$root/etc/clues/start" "$@" >&2 </dev/null
    else
        bounded 120 service "$1" start >&2 </dev/null
    fi
}

# slurmd gives up at its first message if munged does not answer yet.
wait_for_munge() {
    at 'wait for munge'
    command -v munge >/dev/null && command -v unmunge >/dev/null || return 0
    now
    deadline=$((uptime + 30))
    until munge -n ${root:+--socket="$root/run/munge/munge.socket.2"} 2>"$state/munge" |
        unmunge ${root:+--socket="$root/run/munge/munge.socket.2"} >/dev/null 2>>"$state/munge"; do
        now
        [ "$uptime" -lt "$deadline" ] || fail "munge does not work: $(cat "$state/munge")"
        sleep 0.1 2>/dev/null || sleep 1
    done
    rm -f "$state/munge"
}

wait_for_tunnel() { # with a tunnel of its own this VM reaches nobody before it is up
    at 'wait for the tunnel'
    [ -n "$tunnel" ] || return 0
    now
    deadline=$((uptime + 60))
    until ip -o address show | grep -q " ${tunnel}[/ ]"; do
        now
        [ "$uptime" -lt "$deadline" ] || fail "the tunnel with $tunnel did not come up in 60 s"
        sleep 0.2 2>/dev/null || sleep 1
    done
}

mount_share() { # SOURCE TARGET TYPE OPTIONS
    at "mount $2"
    if grep -q " $root$2 " /proc/mounts; then return 0; fi
    [ -d "$root$2" ] || { mkdir -p "$root$2" && chmod 755 "$root$2"; }
    bounded 180 mount -t "$3" -o "${4:+$4,}nosuid,nodev" "$1" "$root$2" >&2 </dev/null ||
        fail "$1 could not be mounted at $2"
}

# The agent keeps them fresh; the first job may come as soon as slurmd is there.
wait_for_accounts() {
    at 'wait for the accounts'
    [ -n "$accounts" ] || return 0
    now
    deadline=$((uptime + 60))
    until [ -e "$root/var/lib/clues/agent/settings" ]; do
        now
        [ "$uptime" -lt "$deadline" ] || fail 'the agent got no settings in 60 s; its log says why'
        sleep 0.1 2>/dev/null || sleep 1
    done
}

# --- before slurmd ------------------------------------------------------------------------------------------------

# What was said is redacted: long runs of base64 letters may be a key, whoever printed them.
words_of() { # FILE
    tail -n 5 "$1" | tr '\n' ' ' | tr -cd '\040-\176' | sed 's/[A-Za-z0-9+\/=_-]\{40,\}/[...]/g' | tail -c 300
}

# warn FILE: each line is told, and ends nothing
warn() {
    while IFS= read -r line; do
        say "$line"
        tell "warning $line"
    done <"$1"
}

guard() {
    at guard
    [ -s "$etc/guard" ] || return 0
    bounded 60 sh "$etc/guard" >"$state/words" 2>&1 3>&- || warn "$state/words"
}

hundredths() { # since the start of the VM
    read -r uptime _ </proc/uptime
    moment=$((${uptime%.*} * 100 + 1${uptime#*.} - 100))
}

# run_hook FILE SECONDS required|optional: its output goes to the log, how it ended is told.
run_hook() {
    name=${1#*-} code=0
    at "hook $name"
    hundredths
    begun=$moment
    umask 022
    bounded "$2" env CLUES_NODE="$(value NODE)" CLUES_POOL="$(value POOL)" CLUES_SITE="$(value SITE)" \
        "$etc/hooks/$1" >"$state/words" 2>&1 3>&- || code=$?
    umask 077
    hundredths
    [ "$code" != 124 ] || printf 'it had not ended after %s s\n' "$2" >>"$state/words"
    tail -c 4000 "$state/words" >&2
    took=$((moment - begun))
    took=$((took / 100)).$((took / 10 % 10))
    if [ "$code" = 0 ]; then tell "hook $name $took 0"; else tell "hook $name $took $code $(words_of "$state/words")"; fi
    say "hook $name ended with $code after $took s"
    [ "$code" = 0 ] || [ "$3" != required ] || exit 1
}

run_hooks() {
    [ -s "$etc/hooks.list" ] || return 0
    while read -r hook seconds need; do run_hook "$hook" "$seconds" "$need"; done <"$etc/hooks.list"
}

# An image that says what it has (/etc/clues/facts) is believed.
has_gpus_to_check() { [ -s "$etc/check-gpus" ] && ! grep -qs '^GPUS=' "$etc/facts"; }

load_gpus() { # also for hooks that want them
    at 'load the driver'
    has_gpus_to_check || return 0
    bounded 200 sh "$etc/check-gpus" load >&2 3>&- || say 'the driver could not be loaded yet'
}

check_gpus() {
    at 'check the GPUs'
    has_gpus_to_check || return 0
    ended=0
    bounded 200 sh "$etc/check-gpus" >"$state/gpus" 3>&- || ended=$?
    [ "$ended" != 124 ] || fail 'nvidia-smi hangs and cannot be ended'
    [ "$ended" = 0 ] || fail "the GPUs are not as they should be: $(words_of "$state/gpus")"
    while IFS= read -r line; do tell "$line"; done <"$state/gpus"
}

# slurmctld takes slurmd of its own release and of a few before, and hands its configuration to these alone.
check_slurmd() { # VERSION-OF-SLURMCTLD RELEASE...
    at 'check slurmd'
    command -v slurmd >/dev/null || fail 'this image has no slurmd'
    there=$1
    shift
    # slurmd tells it to no root that may not change groups, as in a container; scontrol to nobody without a configuration.
    printf 'ClusterName=x\nSlurmctldHost=x\n' >"$state/slurm.conf"
    for program in slurmd scontrol; do
        bounded 30 env SLURM_CONF="$state/slurm.conf" "$program" -V >"$state/words" 2>&1 3>&- || :
        here=$(sed -n 's/^slurm[a-z-]* \([0-9]*[.][0-9]*[^ ]*\).*/\1/p' "$state/words" | head -n 1)
        [ -z "$here" ] || break
    done
    [ -n "$here" ] || fail "slurmd does not tell its version: $(words_of "$state/words")"
    for release; do
        case $here in "$release" | "$release".*) tell "slurmd $here"; return 0 ;; esac
    done
    fail "slurmd is $here in this image, and slurmctld on the front-end $there, which takes slurmd of $* only"
}

# A Prolog that is not there would drain the node at its first job.
check_programs() { # PATH..., a star may stand in each
    at "check Slurm's programs"
    for program; do
        set +f
        for file in $root$program; do
            [ -x "$file" ] || fail "slurm.conf names $program, and this VM has no such program: see to it in the image"
        done
        set -f
    done
}

# --- all of it ----------------------------------------------------------------------------------------------------

options='' tunnel='' accounts='' releases='' programs=''
guard
while read -r verb name value; do
    case $verb:$name in
        set:HOSTNAME) set_hostname "$value" ;;
        set:SLURMD_OPTIONS) set_slurmd_options "$value" ;;
        set:TUNNEL) tunnel=$value ;;
        set:ACCOUNTS) accounts=$value ;;
        set:SLURMD_RELEASES) releases=$value ;;
        set:SLURM_PROGRAMS) programs=$value ;;
        mount:*)
            set -f
            # shellcheck disable=SC2086  # fields are words, checked before they were kept
            mount_share "$name" $value
            set +f ;;
        service:clues-agent) start clues-agent && wait_for_tunnel ;;
        service:slurmd)
            load_gpus
            run_hooks
            check_gpus
            set -f
            # shellcheck disable=SC2086  # words
            [ -z "$releases" ] || check_slurmd $releases
            # shellcheck disable=SC2086  # words
            [ -z "$programs" ] || check_programs $programs
            wait_for_accounts
            # shellcheck disable=SC2086  # options are words
            start slurmd $options
            set +f ;;
        service:munge) start munge && wait_for_munge ;;
        service:*) start "$name" ;;
    esac
done <"$state/plan"
rm -f "$state/step"
