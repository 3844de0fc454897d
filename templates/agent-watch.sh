# --- whether anybody is there still -----------------------------------------------------------------------------------

# Noted is the uptime, which nobody sets; it begins anew with the VM. Every answer of the front-end counts that is none of
# refusal: a VM that is not of the cluster any more is not wanted either.
note_heard() {
    now
    printf '%s\n' "$uptime" >"$work/heard" && mv -f "$work/heard" "$run/heard"
}

slurmctld_answers() {
    command -v scontrol >/dev/null && timeout -k 2 20 scontrol ping 2>/dev/null | grep -q ' is UP'
}

# A slurmstepd with a process of its job below it. Without one it only tries, for an hour, to tell slurmctld of the end;
# the one that says "extern" waits for slurmctld for ever, and with cgroup/v2 one is there that says "infinity".
jobs_run() {
    (
        set +f
        steps=' '
        for process in "$root"/proc/[0-9]*; do
            name=''
            read -r name <"$process/comm"
            [ "$name" = slurmstepd ] || continue
            case $(tr '\0' ' ' <"$process/cmdline") in
                *' infinity '* | *'.extern]'*) ;;
                *) steps="$steps${process##*/} " ;;
            esac
        done 2>/dev/null
        [ "$steps" != ' ' ] && cat "$root"/proc/[0-9]*/status 2>/dev/null | # processes come and go meanwhile
            awk -v steps="$steps" '$1 == "PPid:" && index(steps, " " $2 " ") { found = 1 } END { exit !found }'
    )
}

power_off() {
    offs=$((${offs:-0} + 1))
    if [ -x "$etc/power-off" ]; then
        "$etc/power-off"
    elif [ -n "$root" ]; then
        say 'this is no VM'
    elif [ ! -d /run/systemd/system ]; then
        poweroff || poweroff -f
    elif [ "$offs" = 1 ]; then
        timeout -k 5 60 systemctl poweroff
    else
        systemctl poweroff --force --force # the last time it did not help
    fi
}

# A front-end that is gone for good would leave its VMs running, and be billed. Clues is heard by whoever asks it anyway;
# slurmctld is asked only when clues is silent.
dead_man_step() {
    [ "$dead_man" -gt 0 ] || return 0
    now
    read -r heard 2>/dev/null <"$run/heard" || heard=''
    case $heard in '' | *[!0-9]*) heard=$((uptime + 1)) ;; esac
    silent=$((uptime - heard))
    [ "$silent" -ge 0 ] || { note_heard; return 0; }
    ask_every=$((dead_man < 240 ? dead_man / 4 : 60))
    [ "$silent" -ge "$ask_every" ] || return 0
    if [ $((uptime - asked_at)) -ge "$ask_every" ]; then
        asked_at=$uptime
        if slurmctld_answers; then note_heard; return 0; fi
        now
        silent=$((uptime - heard))
    fi
    [ "$silent" -ge "$dead_man" ] || return 0
    if jobs_run; then
        [ -n "$jobs_seen" ] || say "neither clues nor slurmctld was heard for $silent s; a job runs still"
        jobs_seen=yes
        return 0
    fi
    say "neither clues nor slurmctld was heard for $silent s, and no job runs: this VM powers itself off"
    power_off
}

# Users do not reach the cloud's metadata: rules and modes are set again when something has undone them.
guard_step() {
    now
    [ -s "$etc/guard" ] && [ $((uptime - guarded_at)) -ge 60 ] || return 0
    guarded_at=$uptime
    words=$(timeout -k 5 60 sh "$etc/guard" 2>&1) || [ "$words" = "$guard_seen" ] || say "$words"
    guard_seen=$words
}

look_after() {
    work=$run/look asked_at=-3600 guarded_at=-60 jobs_seen='' guard_seen=''
    trap '[ -z "${napping:-}" ] || kill "$napping" 2>/dev/null; exit 0' TERM
    while :; do
        guard_step
        dead_man_step
        pause "$period"
    done
}

# --- notices of a spot VM ---------------------------------------------------------------------------------------------

# EC2 tells two minutes ahead that it takes a spot VM back, and may warn before that it is about to. It tells so to who
# shows a token, which goes by a file since argv is for all to see.
metadata=${CLUES_METADATA:-http://169.254.169.254}

ask_metadata() { # PATH OPTION...: the answer is in $work/answer, its status in $code
    place=$1
    shift
    : >"$work/answer"
    code=$(curl -q -s --proto =http --noproxy '*' --connect-timeout 2 --max-time 3 --max-filesize 4096 "$@" \
        -o "$work/answer" -w '%{http_code}' "$metadata/latest/$place" 2>/dev/null </dev/null) || code=000
    [ "$code" = 200 ]
}

new_token() {
    ask_metadata api/token -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 21600' || return 1
    token=$(head -c 500 "$work/answer" | tr -cd 'A-Za-z0-9+/=_-')
    [ -n "$token" ] && (umask 077 && printf 'X-aws-ec2-metadata-token: %s\n' "$token" >"$work/token")
}

metadata_of() { # PATH; the status tells what nobody knows: 404 is none
    [ -s "$work/token" ] || new_token || return 1
    ask_metadata "meta-data/$1" -H "@$work/token" && return 0
    [ "$code" != 401 ] || rm -f "$work/token"
    return 1
}

field() { tr -d '\n\r' <"$work/answer" | sed -n 's/.*"'"$1"'" *: *"\([A-Za-z0-9:.+-]*\)".*/\1/p'; }

spot_notices() {
    if metadata_of spot/instance-action; then echo "$(field action) $(field time)"; fi
    if metadata_of events/recommendations/rebalance; then echo "rebalance $(field noticeTime)"; fi
}

watch_spot() {
    work=$run/spot spot_seen=''
    trap '[ -z "${napping:-}" ] || kill "$napping" 2>/dev/null; exit 0' TERM
    while :; do
        notices=$(spot_notices)
        [ -z "$notices" ] || [ "$notices" = "$spot_seen" ] || { report spot "$notices" && spot_seen=$notices; }
        pause "${CLUES_PERIOD:-5}"
    done
}

