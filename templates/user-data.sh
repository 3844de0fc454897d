#!/bin/sh
# Makes this VM a worker of its cluster: it enrols with its ticket, gets what it needs to join, and starts it.
# The same script for every cloud. POSIX sh; wants curl (7.55 or newer), base64, od and the usual small tools.
#
# What an image may provide:
#   /etc/clues/facts   KEY=VALUE lines that stand for what the VM would find in itself: CPUS, MEMORY_MIB,
#                      GPUS (type:count,... such as a10:1), CLOCK (epoch). For VMs that share their kernel with others.
#   /etc/clues/start   run as `start NAME OPTION...` to start a service where there is no systemd.
# CLUES_ROOT (a prefix for all files) and CLUES_PATIENCE (seconds that the service may be away) are for tests.
set -eu
umask 077
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin

ca=@ca@
ticket=@ticket@
urls=@urls@
node=@node@

root=${CLUES_ROOT:-}
patience=${CLUES_PATIENCE:-600}
# A folder for each claim: a VM whose image was made from another worker's disk begins anew.
state=$root/var/lib/clues/${ticket%.*}
log=$state/log
step=prepare
code=000

say() {
    printf 'clues: %s\n' "$*" >&2
    printf 'clues: %s\n' "$*" >>"$log" 2>/dev/null || :
}

fail() { say "$*"; exit 1; }

now() { read -r uptime _ </proc/uptime && uptime=${uptime%%.*}; } # the clock may still be set while we boot

# --- the way to the enrolment service ---------------------------------------------------------------------------

# post PATH BODY SECONDS URL: the answer is in $state/answer, its status in $code (000: none). The ticket goes by a file,
# since argv is for all to see. Debian's curl trusts /etc/ssl/certs beside --cacert unless --capath names another folder.
post() {
    : >"$state/answer"
    code=$(curl -q -sS --proto =https --tlsv1.2 --cacert "$state/ca.pem" --capath "$state/nobody" --noproxy '*' \
        --connect-timeout 10 --max-time "$3" --max-filesize 4194304 -H "@$state/header" -H 'Expect:' \
        --data-binary "@$2" -o "$state/answer" -w '%{http_code}' "$4/v1/$1" 2>>"$log") || code=000
}

# What was said is redacted: long runs of base64 letters may be a key, whoever printed them.
last_words() {
    printf 'failed\nstep %s on %s:\n' "$step" "$node"
    tail -n 20 "$log" | tr -cd '\n\040-\176' | sed 's/[A-Za-z0-9+\/=_-]\{40,\}/[...]/g' | tail -c 1800
}

report() { # report BODY: three short tries
    for pause in 1 3 0; do
        for url in $urls; do
            post report "$1" 10 "$url"
            [ "$code" != 200 ] || return 0
        done
        case $code in 4??) break ;; esac
        sleep "$pause"
    done
    say "nobody took the report ($code)"
}

finish() {
    status=$?
    trap - EXIT
    set +e
    rm -f "$state/answer"
    if [ "$status" -ne 0 ]; then
        last_words >"$state/report"
        cat "$state/report" >&2
        report "$state/report"
    fi
    rm -f "$state/answer" "$state/body" "$state/report"
    exit "$status"
}

# --- what this VM is ----------------------------------------------------------------------------------------------

count_gpus() {
    gpus=0
    if command -v nvidia-smi >/dev/null; then
        # A driver that does not answer has no GPUs, whatever device files there are.
        gpus=$(timeout 60 nvidia-smi -L 2>>"$log" | grep -c '^GPU ' || :)
    else
        for device in "$root"/dev/nvidia[0-9]*; do
            [ ! -e "$device" ] || gpus=$((gpus + 1))
        done
    fi
    if [ "$gpus" -gt 0 ]; then gpus=:$gpus; else gpus=; fi # of no type: a device does not tell Slurm's name for it
}

find_facts() {
    step=facts cpus='' memory='' gpus=unknown clock=''
    if [ -e "$root/etc/clues/facts" ]; then
        while IFS='=' read -r key value || [ -n "$key" ]; do
            case $key in
                CPUS) cpus=$value ;;
                MEMORY_MIB) memory=$value ;;
                GPUS) gpus=$value ;;
                CLOCK) clock=$value ;;
                '' | '#'*) ;;
                *) fail "/etc/clues/facts: $key is not known" ;;
            esac
        done <"$root/etc/clues/facts"
    fi
    [ -n "$cpus" ] || cpus=$(nproc)
    if [ -z "$memory" ]; then
        while read -r key value _; do
            [ "$key" != MemTotal: ] || memory=$((value / 1024))
        done </proc/meminfo
    fi
    [ "$gpus" != unknown ] || count_gpus
}

# --- enrolment ----------------------------------------------------------------------------------------------------

enrol() {
    # The nonce binds the ticket to this VM: a retry, after a reboot too, sends the same one and is answered again.
    if [ ! -s "$state/nonce" ]; then
        od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$state/nonce.new"
        [ -s "$state/nonce.new" ] || fail 'no random bytes for a nonce'
        mv "$state/nonce.new" "$state/nonce"
    fi
    read -r nonce <"$state/nonce" || [ -n "$nonce" ]
    find_facts
    step=enrol pause=1
    now
    deadline=$((uptime + patience))
    while :; do
        for url in $urls; do
            printf 'nonce=%s\nCPUS=%s\nMEMORY_MIB=%s\nGPUS=%s\nCLOCK=%s\n' \
                "$nonce" "$cpus" "$memory" "$gpus" "${clock:-$(date +%s)}" >"$state/body"
            post enrol "$state/body" 60 "$url"
            case $code in
                200) return 0 ;;
                429) ;;
                4??) fail "$url refused ($code): $(head -c 300 "$state/answer" 2>/dev/null)" ;;
            esac
            say "$url does not answer as it should ($code)"
        done
        now
        [ "$uptime" -lt "$deadline" ] || fail "no answer for $patience s"
        sleep "$pause"
        pause=$((pause * 2))
        [ "$pause" -le 30 ] || pause=30
    done
}

# Every line of the answer is of a known form, and the last one counts them; else nothing of it is used.
check_answer() {
    step=answer lines=0 end=''
    while IFS= read -r line || [ -n "$line" ]; do
        [ -z "$end" ] || fail 'the answer goes on after its end'
        case $lines:$line in
            '0:clues 1') ;;
            0:*) fail 'the answer is not of a kind that is known here' ;;
            *:'end '*) end=${line#end } ;;
            *:'file '* | *:'set '* | *:'service '*) check_line "$line" ;;
            *) fail "line $lines of the answer is not of a known form" ;;
        esac
        lines=$((lines + 1))
    done <"$state/answer"
    [ "$end" = "$((lines - 1))" ] || fail 'the answer was cut off'
}

check_line() {
    verb=${1%% *} rest=${1#* }
    name=${rest%% *} value=${rest#* }
    [ "$value" != "$rest" ] || value=
    case $verb:$name in
        file:0[0-7][0-7][0-7])
            case ${value%% *} in
                *..* | *[!A-Za-z0-9/_.-]* | /etc/*/*/*) fail 'the answer holds a file with a strange path' ;;
                /etc/munge/[!.]* | /etc/slurm/[!.]*) ;;
                *) fail 'the answer holds a file that has no place here' ;;
            esac
            case ${value#* } in
                "$value" | '') ;; # an empty file
                *[!A-Za-z0-9+/=]*) fail 'the answer holds a file that is not base64' ;;
            esac ;;
        set:HOSTNAME | set:SLURMD_OPTIONS)
            case $value in *[!A-Za-z0-9_./:=,@%+\ -]*) fail "the answer holds a strange $name" ;; esac ;;
        service:*[!A-Za-z0-9_.-]* | service: | service:[!A-Za-z]*) fail 'the answer names a strange service' ;;
        service:*) [ -z "$value" ] || fail 'the answer names a strange service' ;;
        *) fail "the answer holds a $verb that is not known here" ;;
    esac
}

# own FILE USER: give it to the user, if the image has it. A container that shares its kernel may map so few ids that the
# user does not exist for the kernel; then everything in it runs as one user anyway, and the file stays as it is.
own() {
    user=$(id -u "$2" 2>/dev/null) || return 0
    chown "$2:" "$1" 2>>"$log" && return 0
    [ "$(id -u)" = 0 ] || { say "not root: $1 stays ours"; return 0; }
    while read -r inside _ count; do
        if [ "$user" -ge "$inside" ] && [ "$user" -lt "$((inside + count))" ]; then
            fail "$1 could not be given to $2"
        fi
    done </proc/self/uid_map
    say "user $2 ($user) is not mapped here: $1 stays ours"
}

# put MODE PATH [USER]: standard input becomes this file in one step
put() {
    cat >"$root$2.clues-new" && chmod "$1" "$root$2.clues-new" || return 1
    [ $# -lt 3 ] || own "$root$2.clues-new" "$3"
    mv -f "$root$2.clues-new" "$root$2"
}

put_file() { # MODE PATH BASE64
    case $2 in
        /etc/munge/*)
            [ -d "$root/etc/munge" ] || { mkdir -p "$root/etc/munge" && own "$root/etc/munge" munge; }
            set -- "$@" munge ;;
        *) [ -d "$root${2%/*}" ] || { mkdir -p "$root${2%/*}" && chmod 755 "$root${2%/*}"; } ;;
    esac
    printf %s "$3" | base64 -d >"$state/content" || fail "$2 is not base64"
    if [ $# -gt 3 ]; then put "$1" "$2" "$4" <"$state/content"; else put "$1" "$2" <"$state/content"; fi ||
        fail "$2 could not be written"
    rm -f "$state/content"
}

# The files are written from the answer, the rest of it is kept: that is what a reboot starts from.
take_answer() {
    step=files
    : >"$state/plan.new"
    while read -r verb first second third; do
        case $verb in
            file) put_file "$first" "$second" "$third" ;;
            set | service) printf '%s %s %s %s\n' "$verb" "$first" "$second" "$third" >>"$state/plan.new" ;;
        esac
    done <"$state/answer"
    rm -f "$state/answer" "$state/body"
    mv "$state/plan.new" "$state/plan"
}

# --- starting -----------------------------------------------------------------------------------------------------

set_hostname() {
    step=hostname
    mkdir -p "$root/etc"
    printf '%s\n' "$1" | put 644 /etc/hostname
    # cloud-init would set its own name again at the next boot
    [ ! -d "$root/etc/cloud/cloud.cfg.d" ] || echo 'preserve_hostname: true' | put 644 /etc/cloud/cloud.cfg.d/99-clues.cfg
    [ -z "$root" ] || return 0
    read -r present </proc/sys/kernel/hostname
    [ "$present" != "$1" ] || return 0
    hostname "$1" 2>>"$log" || hostnamectl set-hostname "$1" 2>>"$log" || fail "the name could not be set to $1"
}

set_slurmd_options() {
    step=settings
    options=$1
    for folder in default sysconfig; do
        if [ "$folder" = default ] || [ -d "$root/etc/$folder" ]; then
            mkdir -p "$root/etc/$folder"
            printf 'SLURMD_OPTIONS="%s"\n' "$1" | put 644 "/etc/$folder/slurmd"
        fi
    done
}

start() { # start NAME OPTION...
    step="start $1"
    (umask 022 && start_service "$@") >>"$log" 2>&1 </dev/null || fail "$1 could not be started"
}

start_service() {
    if [ -d "$root/run/systemd/system" ]; then
        systemctl is-enabled --quiet "$1" || systemctl enable --quiet "$1" || :
        systemctl restart "$1" && return
        journalctl -u "$1" -n 15 --no-pager -o cat
        return 1
    elif [ -x "$root/etc/clues/start" ]; then
        "$root/etc/clues/start" "$@"
    else
        service "$1" start
    fi
}

# slurmd gives up at its first message if munged does not answer yet.
wait_for_munge() {
    step='wait for munge'
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

run_plan() {
    options=''
    while read -r verb name value; do
        case $verb:$name in
            set:HOSTNAME) set_hostname "$value" ;;
            set:SLURMD_OPTIONS) set_slurmd_options "$value" ;;
            service:slurmd)
                set -f
                # shellcheck disable=SC2086  # options are words
                start slurmd $options
                set +f ;;
            service:munge) start munge && wait_for_munge ;;
            service:*) start "$name" ;;
        esac
    done <"$state/plan"
}

mkdir -p "$state/nobody"
: >"$log"
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
printf '%s\n' "$ca" >"$state/ca.pem"
printf 'Authorization: Ticket %s\n' "$ticket" >"$state/header"
command -v curl >/dev/null || fail 'this image has no curl'
if [ ! -e "$state/plan" ]; then
    enrol
    check_answer
    take_answer
fi
run_plan
step=report
printf 'started\n' >"$state/report"
report "$state/report"
say "$node has started"
