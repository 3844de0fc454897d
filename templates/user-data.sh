#!/bin/sh
# Makes this VM a worker or a router of its cluster: it makes a key, enrols with its ticket, and gets what it needs to
# join, /etc/clues/boot among it, which does the rest. However that ends, the front-end is told. The key never leaves the
# VM. The same script for every cloud. POSIX sh; wants curl (7.55 or newer), openssl, base64, timeout and the usual small
# tools. It is sent without comments and indentation, since clouds take 16 KiB: no text in it may need them.
#
# What an image may provide:
#   /etc/clues/facts      KEY=VALUE lines that stand for what the VM would find in itself: CPUS, MEMORY_MIB,
#                         GPUS (type:count,... such as a10:1), CLOCK (epoch). For VMs that share their kernel with others.
#   /etc/clues/start      run as `start NAME OPTION...` to start a service where there is no systemd.
#   /etc/clues/power-off  ends the VM where `shutdown` and `poweroff` do not.
# CLUES_ROOT (a prefix for all files) and CLUES_PATIENCE (seconds that the service may be away) are for tests.
set -eu
umask 077
export LC_ALL=C

ca=@ca@
ticket=@ticket@
urls=@urls@
node=@node@
kind=@kind@
routes=@routes@
proof=@proof@
dead_man=@dead_man@

root=${CLUES_ROOT:-}
PATH=$PATH:$root/usr/sbin:$root/sbin
patience=${CLUES_PATIENCE:-600}
# A folder for each claim: a VM whose image was made from another worker's disk begins anew.
state=$root/var/lib/clues/${ticket%.*}
log=$state/log
step=prepare
code=000
tls=$root/etc/clues/tls

say() {
    printf 'clues: %s\n' "$*" >&2
    printf 'clues: %s\n' "$*" >>"$log" 2>/dev/null || :
}

fail() { say "$*"; exit 1; }

now() { read -r uptime _ </proc/uptime && uptime=${uptime%%.*}; } # the clock may still be set while we boot

# --- the way to the enrolment service ---------------------------------------------------------------------------

# post PATH BODY SECONDS URL: the answer is in $state/answer, its status in $code (000: none). The ticket goes by a file,
# since argv is for all to see; once it has been redeemed the certificate speaks for this VM, and the ticket is gone.
# Debian's curl trusts /etc/ssl/certs beside --cacert unless --capath names another folder.
post() {
    : >"$state/answer"
    if [ -e "$state/header" ]; then
        set -- "$@" -H "@$state/header"
    else
        set -- "$@" --cert "$tls/cert.pem" --key "$tls/key.pem"
    fi
    path=$1 body=$2 seconds=$3 at=$4
    shift 4
    code=$(curl -q -sS --proto =https --tlsv1.2 --cacert "$state/ca.pem" --capath "$state/nobody" --noproxy '*' \
        --connect-timeout 10 --max-time "$seconds" --max-filesize 4194304 -H 'Expect:' "$@" \
        --data-binary "@$body" -o "$state/answer" -w '%{http_code}' "$at/v1/$path" 2>>"$log") || code=000
}

# What was said is redacted: long runs of base64 letters may be a key, whoever printed them.
last_words() {
    [ ! -s "$state/step" ] || read -r step <"$state/step"
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
        [ "$dead_man" = 0 ] || [ -n "$root" ] || power_off_later >/dev/null 2>&1
    fi
    rm -f "$state/answer" "$state/body" "$state/report"
    exit "$status"
}

# A VM that is of no use is ended by the front-end; by itself, if that has forgotten it.
power_off_later() {
    say "this VM powers itself off in $dead_man s"
    if [ -x /etc/clues/power-off ] || ! shutdown -P "+$((dead_man / 60 + 1))"; then
        { sleep "$dead_man"; /etc/clues/power-off || poweroff || poweroff -f; } &
    fi
}

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
        sleep 0.1 2>/dev/null || sleep 1
    done
    result=0
    wait "$child" || result=$?
    [ "$result" != 137 ] || [ "$uptime" -lt $((most - 8)) ] || result=124 # it had to be killed
    return "$result"
}

# Where nothing can be written to the disk, that is the last word.
use_memory() {
    state=$root/run/clues-boot
    log=$state/log
    mkdir -p "$state/nobody"
    printf '%s\n' "$ca" >"$state/ca.pem"
    printf 'Authorization: Ticket %s\n' "$ticket" >"$state/header"
    fail '/var/lib/clues cannot be written'
}

# --- what this VM is ----------------------------------------------------------------------------------------------

# A GPU that is split (MIG) counts as its parts. What these are, and whether they work, /etc/clues/check-gpus looks at.
count_gpus() {
    gpus=0 former=''
    if command -v nvidia-smi >/dev/null; then
        # A driver that does not answer has no GPUs, whatever device files there are.
        bounded 60 nvidia-smi -L >"$state/gpus" 2>>"$log" || :
        while read -r word _; do
            case $former:$word in
                *:GPU | MIG:MIG) gpus=$((gpus + 1)) ;;
            esac
            former=$word
        done <"$state/gpus"
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
    # Who comes by SSH later knows by these that it is this VM.
    keys=''
    for file in "$root"/etc/ssh/ssh_host_*_key.pub; do
        [ -s "$file" ] || continue
        read -r _ key _ <"$file"
        key=$(printf %s "$key" | base64 -d 2>>"$log" | openssl dgst -sha256 -binary | base64 | tr -d '=\n')
        keys=$keys${keys:+,}SHA256:$key
    done
}

# --- enrolment ----------------------------------------------------------------------------------------------------

set_routes() { # RANGE GATEWAY...: the way to the front-end, where it is not the default one
    step=routes
    while [ $# -ge 2 ]; do
        ip route replace "$1" via "$2" 2>>"$log" || fail "no route to $1 by $2"
        shift 2
    done
}

# The key binds the ticket to this VM: a retry, after a reboot too, comes with the same one and is answered again.
make_key() {
    step=key
    mkdir -p "$tls"
    chmod 755 "$root/etc/clues"
    if [ ! -s "$state/csr" ]; then
        openssl ecparam -name prime256v1 -genkey -noout -out "$tls/key.pem" 2>>"$log" || fail 'openssl makes no key'
        openssl req -new -key "$tls/key.pem" -subj "/CN=$node" -outform DER -out "$state/csr.der" 2>>"$log" &&
            base64 "$state/csr.der" | tr -d '\n' >"$state/csr.new"
        [ -s "$state/csr.new" ] || fail 'openssl makes no certificate request'
        if [ "$kind" = router ]; then # what it shows to other routers
            openssl req -new -x509 -key "$tls/key.pem" -subj "/CN=$node" -days 3650 -out "$tls/shortcut.pem" \
                2>>"$log" || fail 'openssl makes no certificate'
        fi
        rm -f "$tls/cert.pem"
        mv "$state/csr.new" "$state/csr"
    fi
    read -r csr <"$state/csr" || [ -n "$csr" ]
    fingerprint=
    [ "$kind" != router ] || fingerprint=$(openssl x509 -in "$tls/shortcut.pem" -noout -fingerprint -sha256)
    fingerprint=${fingerprint#*=}
}

# What the provider signs about this VM: of no use to who has read the ticket elsewhere. AWS tells it to who shows a token,
# which goes by a file, since argv is for all to see.
metadata=${CLUES_METADATA:-http://169.254.169.254}

ask_metadata() { # PATH OPTION...
    place=$1
    shift
    curl -q -sSf --proto =http --noproxy '*' --connect-timeout 2 --max-time 5 --max-filesize 6000 "$@" \
        "$metadata/latest/$place" 2>>"$log"
}

token() {
    given=$(ask_metadata api/token -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60') &&
        printf 'X-aws-ec2-metadata-token: %s' "$given" >"$state/token"
}

# for mates: VMs that were asked for in one call share this script, and each is the one at its own place in the call. To
# others this part is not sent.
choose() {
    mates=@mates@
    state=$root/run/clues-boot log=$root/run/clues-boot/log step=choose
    mkdir -p "$state"
    now
    deadline=$((uptime + 60))
    until token && place=$(ask_metadata meta-data/ami-launch-index -H "@$state/token"); do
        now
        [ "$uptime" -lt "$deadline" ] || fail 'the metadata service does not tell which VM this is'
        sleep 1
    done
    rm -f "$state/token"
    # shellcheck disable=SC2086  # words
    set -- $mates
    case $place in 0 | [1-9] | [1-9][0-9]) ;; *) fail 'the metadata service tells a strange place' ;; esac
    [ "$place" -lt $# ] || fail 'this VM is not one of those that this script is for'
    shift "$place"
    ticket=$1 node=${1%.*}
    state=$root/var/lib/clues/$node log=$root/var/lib/clues/$node/log
}
# for all again

find_proof() {
    step=proof proven=''
    [ "$proof" = ec2 ] || return 0
    token || fail 'the metadata service gives no token'
    for part in document signature; do
        proven=$proven${proven:+.}$(ask_metadata "dynamic/instance-identity/$part" -H "@$state/token" | base64 | tr -d '\n')
    done
    rm -f "$state/token"
}

enrol() {
    find_facts
    find_proof
    step=enrol pause=1
    now
    deadline=$((uptime + patience))
    while :; do
        for url in $urls; do
            printf 'csr=%s\nfingerprint=%s\nCPUS=%s\nMEMORY_MIB=%s\nGPUS=%s\nCLOCK=%s\nHOST_KEYS=%s\nproof=%s\n' \
                "$csr" "$fingerprint" "$cpus" "$memory" "$gpus" "${clock:-$(date +%s)}" "$keys" "$proven" \
                >"$state/body"
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
            *:'file '* | *:'set '* | *:'service '* | *:'mount '*) check_line "$line" ;;
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
            path=${value%% *}
            case $path in *..* | *[!A-Za-z0-9/_.-]* | */ | */.*) fail 'the answer holds a file with a strange path' ;; esac
            case ${path%/*}:$path in
                /etc/munge:* | /etc/slurm:* | /etc/clues:* | /etc/clues/tls:* | /etc/clues/hooks:* | /etc/openvpn/clues:*) ;;
                /etc/systemd/system:*/clues-*.service) ;;
                *) fail 'the answer holds a file that has no place here' ;;
            esac
            case ${value#* } in
                "$value" | '') ;; # an empty file
                *[!A-Za-z0-9+/=]*) fail 'the answer holds a file that is not base64' ;;
            esac ;;
        set:HOSTNAME | set:SLURMD_OPTIONS | set:SLURMD_RELEASES | set:SLURM_PROGRAMS | set:SLURM_USER | \
            set:TUNNEL | set:ACCOUNTS)
            case $value in *[!A-Za-z0-9_./:=,@%+*\ -]*) fail "the answer holds a strange $name" ;; esac ;;
        set:TIME | set:LIMIT) case $value in '' | *[!0-9]*) fail 'the answer holds a strange time' ;; esac ;;
        mount:*)
            read -r source target type options more <<END
$rest
END
            [ -n "$options" ] || fail 'the answer holds a strange mount'
            [ -z "$more" ] || fail 'the answer holds a strange mount'
            case $source in -* | *[!]A-Za-z0-9_./:@%[-]*) fail 'the answer mounts from a strange place' ;; esac
            case $type,$options in *[!a-z0-9],* | *[!A-Za-z0-9_./:=,@%+-]*) fail 'the answer holds a strange mount' ;; esac
            case $target/ in
                *..* | *//* | *[!A-Za-z0-9/_.-]* | [!/]*) fail 'the answer holds a strange mount' ;;
                /etc/* | /usr/* | /bin/* | /sbin/* | /lib* | /dev/* | /proc/* | /sys/* | /run/* | /var/* | /root/* | /boot/*)
                    fail 'the answer mounts over the system' ;;
            esac ;;
        service:*[!A-Za-z0-9_.-]* | service: | service:[!A-Za-z]*) fail 'the answer names a strange service' ;;
        service:*) [ -z "$value" ] || fail 'the answer names a strange service' ;;
        *) fail "the answer holds a $verb that is not known here" ;;
    esac
}

# Waits for a time service that runs here, in reason; a VM that shares its clock with others has none, and sets nothing.
wait_for_clock() {
    pidof chronyd ntpd systemd-timesyncd >/dev/null 2>&1 || return 0
    now
    deadline=$((uptime + 30))
    until chronyc -n tracking 2>/dev/null | grep -q '^Leap status *: Normal' ||
        [ "$(timedatectl show -p NTPSynchronized --value 2>/dev/null)" = yes ]; do
        now
        [ "$uptime" -lt "$deadline" ] || { say 'the clock is not synchronised yet'; return 0; }
        sleep 1
    done
}

# The answer says how late it is; what has passed since then is told by the uptime, which nobody sets.
check_clock() {
    step=clock
    told=$(sed -n 's/^set TIME //p' "$state/answer")
    now
    arrived=$uptime
    wait_for_clock
    now
    off=$((${clock:-$(date +%s)} - ${told:-0} - uptime + arrived))
    [ -z "$told" ] || [ "${off#-}" -le 60 ] ||
        fail "the clock is off by $off s: munge would refuse every credential; see to chrony or NTP in the image"
}

# Slurm's messages carry the number of SlurmUser, its configuration the name: where the image has it with another number,
# slurmd would refuse every word of slurmctld. Munge's own number is in no message.
check_slurm_user() {
    step=user
    told=$(sed -n 's/^set SLURM_USER //p' "$state/answer")
    [ -n "$told" ] || return 0
    here=$(id -u "${told%:*}" 2>/dev/null) ||
        fail "this image has no user ${told%:*}, who is SlurmUser with uid ${told#*:} on the front-end"
    [ "$here" = "${told#*:}" ] ||
        fail "${told%:*} has uid $here here and ${told#*:} on the front-end: the image must have it with the same"
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
            set | service | mount) printf '%s %s %s %s\n' "$verb" "$first" "$second" "$third" >>"$state/plan.new" ;;
        esac
    done <"$state/answer"
    rm -f "$state/answer" "$state/body"
    mv "$state/plan.new" "$state/plan"
    rm -f "$state/header"
}

# --- all of it ----------------------------------------------------------------------------------------------------

trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
# for mates:
choose
# for all again
if ! mkdir -p "$state/nobody" || ! echo "clues: $node boots" >"$log"; then use_memory; fi
printf '%s\n' "$ca" >"$state/ca.pem"
rm -f "$state/header"
[ -e "$state/plan" ] || printf 'Authorization: Ticket %s\n' "$ticket" >"$state/header"
for tool in curl openssl base64 timeout; do
    command -v "$tool" >/dev/null || fail "this image has no $tool"
done
# shellcheck disable=SC2086  # pairs of words
set_routes $routes
if [ ! -e "$state/plan" ]; then
    make_key
    enrol
    check_answer
    check_clock
    check_slurm_user
    take_answer
fi
step=boot
rm -f "$state/step" "$state/told"
limit=$(sed -n 's/^set LIMIT \([0-9]*\).*/\1/p' "$state/plan")
limit=${limit:-1800} ended=0
[ -s "$root/etc/clues/boot" ] || fail 'the answer held no /etc/clues/boot'
bounded "$limit" sh "$root/etc/clues/boot" "$state" 3>&2 2>>"$log" || ended=$?
[ "$ended" != 124 ] || fail "it had not ended after $limit s"
[ "$ended" = 0 ] || exit 1
step=report
{ echo started && cat "$state/told" 2>/dev/null; } >"$state/report" || :
report "$state/report"
say "$node has started"
