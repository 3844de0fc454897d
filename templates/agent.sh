#!/bin/sh
# Keeps this VM in step with its cluster for as long as it lives: names and accounts, its certificate, its tunnel if it
# has one, and on a router what is forwarded and the direct tunnels to other routers. It hears when a spot VM is to go, and
# powers the VM off when nobody is there any more.
# The same script for every VM. POSIX sh; wants curl, openssl, awk, ip; openvpn where there is a tunnel, nft on a router.
# It is put together from agent.sh, agent-router.sh, agent-watch.sh and agent-main.sh.
#
# It asks the front-end what is new (a call that is answered when something is), and applies an answer whole or not at
# all. It never ends by itself: what fails is said and tried again. Whatever it has applied stands while nobody answers.
#
# What an image may provide: /etc/clues/power-off, which ends the VM where there is no systemd and `poweroff` does not.
# CLUES_ROOT (a prefix for all files), CLUES_PERIOD (seconds between looks) and CLUES_METADATA (where a spot VM's metadata
# service is) are for tests.
set -uf
umask 022
export LC_ALL=C

root=${CLUES_ROOT:-}
PATH=$PATH:$root/usr/sbin:$root/sbin
period=${CLUES_PERIOD:-10}
etc=$root/etc/clues
tls=$etc/tls
run=$root/run/clues-agent
state=$root/var/lib/clues/agent
tunnel=$root/etc/openvpn/clues/client.conf
begin='# clues: begin (kept by /etc/clues/agent)'
end='# clues: end'
tag=- good='' renew_at='' renew_try=0 shortcut_seen='' strangers_seen='' clashes_seen=''

say() { printf 'clues-agent: %s\n' "$*" >&2; }

now() { read -r uptime _ </proc/uptime && uptime=${uptime%%.*}; } # the clock may be set while we run

pause() { # seconds; a signal ends it
    sleep "$1" &
    napping=$!
    wait "$napping"
}

# value FILE KEY: of a line KEY=value, with quotes around the value or without
value() { sed -n "s|^$2=[\"']\{0,1\}\([][A-Za-z0-9 ._:/,-]*\)[\"']\{0,1\}\$|\1|p" "$1" 2>/dev/null | tail -n 1; }

# replace FILE: standard input becomes this file, if it differs. Where the file is a mount of its own, as in a
# container, nothing can take its place, and it is written over.
replace() {
    [ ! -d "$1" ] && cat >"$1.clues-new" || return 1
    if cmp -s "$1.clues-new" "$1"; then
        rm -f "$1.clues-new"
    elif ! mv -f "$1.clues-new" "$1" 2>/dev/null; then
        cat "$1.clues-new" >"$1" && rm -f "$1.clues-new"
    fi
}

# --- calls to the front-end ---------------------------------------------------------------------------------------

# call SECONDS PATH [BODY]: the answer is in $work/answer, its status in $code (000: none). The URL that answered last
# is tried first. Debian's curl trusts /etc/ssl/certs beside --cacert unless --capath names another folder.
call() {
    for url in $good $urls; do
        : >"$work/answer"
        curl -q -sS --proto =https --tlsv1.2 --cacert "$tls/ca.pem" --capath "$run/nobody" --noproxy '*' \
            --cert "$tls/cert.pem" --key "$tls/key.pem" --connect-timeout 5 --max-time "$1" --max-filesize 4194304 \
            -H 'Expect:' ${3:+--data-binary "@$3"} -o "$work/answer" -w '%{http_code}' "$url/v1/$2" \
            >"$work/code" 2>"$work/words" </dev/null &
        wait $!
        code=000
        read -r code <"$work/code" || [ -n "$code" ]
        case $code in
            2??) good=$url; note_heard; return 0 ;;
            4??) break ;;
        esac
    done
    return 1
}

report() { # report KIND TEXT
    printf '%s\n%s\n' "$1" "$2" >"$work/body"
    call 10 report "$work/body"
}

# --- settings -----------------------------------------------------------------------------------------------------

# Every line is of a known form and the last one counts them, else nothing of the answer is used.
# shellcheck disable=SC2016  # awk's own variables
known_settings='
function number(text, most) { return text ~ /^[0-9]+$/ && length(text) <= 10 && text + 0 <= most }
function ipv4(text, part) {
    if (text !~ /^[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+$/) return 0
    split(text, part, ".")
    return number(part[1], 255) && number(part[2], 255) && number(part[3], 255) && number(part[4], 255)
}
function range(text, part) { return split(text, part, "/") == 2 && ipv4(part[1]) && number(part[2], 32) }
function ranges(text, part, n) {
    n = split(text, part, ",")
    if (n < 1 || n > 64) return 0
    for (; n > 0; n--) if (!range(part[n])) return 0
    return 1
}
function pairs(text, count, form, part, n) {
    n = split(text, part, ":")
    if (n != count) return 0
    for (; n > 0; n--) if (part[n] !~ form) return 0
    return 1
}
function endpoint(text, part) { return split(text, part, ":") == 2 && name(part[1]) && number(part[2], 65535) }
function name(text) { return length(text) < 254 && text ~ /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/ }
function address(text) {
    if (text ~ /:/) return length(text) < 46 && text ~ /^[0-9a-fA-F:.]+$/ && text != "::1" && text != "::"
    return ipv4(text) && text !~ /^(0|127)[.]/
}
function host(i) {
    if (NF < 3 || !address($2)) return 0
    for (i = 3; i <= NF; i++) if (!name($i) || tolower($i) ~ /^localhost/) return 0
    return 1
}
function account(part) {
    if (split(substr($0, 9), part, ":") != 7) return 0
    return user(part[1]) && id(part[3]) && id(part[4]) && part[6] ~ /^\// && part[7] ~ /^(\/[!-~]*)?$/
}
function group(part) { return split(substr($0, 7), part, ":") == 4 && user(part[1]) && id(part[3]) && part[4] !~ /[ \t]/ }
function user(text) { return length(text) < 33 && text ~ /^[A-Za-z_][A-Za-z0-9_.@-]*[$]?$/ }
function id(text) { return number(text, 4294967294) && text + 0 >= 100 }
function peer() {
    return NF == 9 && $2 ~ /^(listen|connect)$/ && $3 ~ /^[A-Za-z0-9._-]+$/ && length($3) < 129 &&
        ($2 == "listen" ? $4 == "-" || endpoint($4) : endpoint($4)) && pairs($5, 32, "^[0-9A-F][0-9A-F]$") &&
        ranges($6) && ipv4($7) && ipv4($8) && number($9, 65535) && $9 > 0
}
function bad() { wrong = NR; exit }
/[[:cntrl:]]/ || ended { bad() }
NR == 1 { if ($0 != "clues-settings 1") bad(); next }
NR == 2 { if (NF != 2 || $1 != "tag" || $2 !~ /^[A-Za-z0-9._-]+$/ || length($2) > 128) bad(); next }
$1 == "end" { if (NF != 2 || $2 != NR - 1) bad(); ended = 1; next }
$1 == "host" && host() { next }
$1 == "account" && account() { next }
$1 == "group" && group() { next }
$1 == "forward" && NF == 3 && pairs($2, 6, "^[0-9a-f][0-9a-f]$") && ipv4($3) { next }
$1 == "peer" && peer() { next }
$1 == "trust" && NF == 2 && $2 ~ /^[0-9a-f]+$/ && length($2) == 64 { next }
{ bad() }
END {
    if (wrong) print "line " wrong " of the settings is not of a known form"
    else if (!ended) print "the settings were cut off"
}'

check_settings() { # FILE
    wrong=$(awk "$known_settings" "$1" 2>&1) && [ -z "$wrong" ] && return 0
    say "${wrong:-the settings could not be checked}"
    return 1
}

without_block() { # FILE; a beginning without an end hides nothing
    awk -v begin="$begin" -v end="$end" '
        $0 == begin { held = ""; inside = 1; next }
        inside && $0 == end { inside = 0; next }
        inside { held = held $0 "\n"; next }
        { print }
        END { if (inside) printf "%s", held }' "$1"
}

with_block() { printf '%s\n' "$begin" && cat && printf '%s\n' "$end"; }

apply_hosts() {
    # First, since the first line with a name counts, and an image may give the VM's own name a loopback address.
    { sed -n 's/^host //p' "$1" | with_block && without_block "$root/etc/hosts"; } | replace "$root/etc/hosts"
}

# merge VERB FILE: lines of accounts that the image does not have, neither the name nor the number, are added. Nobody
# gets a password by it. Those that the image has otherwise are noted.
merge() {
    [ -e "$root/etc/$2" ] || return 0
    without_block "$root/etc/$2" >"$work/kept" || return 1
    sed -n "s/^$1 //p" "$settings" | awk -F : -v OFS=: '
        NR == FNR { names[$1] = $3; numbers[$3] = $1; next }
        !($1 in names) && !($3 in numbers) { $2 = "*"; print; names[$1] = $3; numbers[$3] = $1; next }
        names[$1] != $3 || numbers[$3] != $1 { print $1 " " $3 >clashes }' \
        clashes="$work/$1.clashes" "$work/kept" - >"$work/added" || return 1
    if [ -s "$work/added" ]; then with_block <"$work/added"; fi | cat "$work/kept" - | replace "$root/etc/$2"
}

# Everything is tried, also when something before it failed; an answer counts as applied when all of it is.
apply() {
    settings=$1 failed=''
    apply_hosts "$settings" || failed="$failed hosts"
    : >"$work/group.clashes"
    : >"$work/account.clashes"
    merge group group || failed="$failed groups"
    merge account passwd || failed="$failed accounts"
    clashes=$(cat "$work/account.clashes" "$work/group.clashes")
    # shellcheck disable=SC2086  # one line of it
    [ -z "$clashes" ] || [ "$clashes" = "$clashes_seen" ] || say 'the image has these otherwise, by name or number:' $clashes
    clashes_seen=$clashes
    if [ "$kind" = router ]; then
        apply_firewall "$settings" || failed="$failed firewall"
        apply_shortcuts "$settings" || failed="$failed shortcuts"
    fi
    [ -z "$failed" ] || { say "could not be applied:$failed"; return 1; }
}

# One look: 0 when the settings that hold are applied.
settings_step() {
    now
    asked=$uptime
    call 40 "settings?after=$tag" || { say "no settings ($code) $(head -c 200 "$work/words")"; return 1; }
    now
    # An answer that tells nothing new comes late; one that comes at once must not make us ask without a pause.
    [ "$code" != 204 ] || { [ $((uptime - asked)) -ge 2 ] || pause 2; return 0; }
    check_settings "$work/answer" || return 1
    told=$(sed -n '2s/^tag //p' "$work/answer")
    [ "$told" != "$tag" ] || { [ $((uptime - asked)) -ge 2 ] || pause 2; return 0; }
    tag=-
    apply "$work/answer" || return 1
    mv -f "$work/answer" "$state/settings" && tag=$told
    say "settings $tag applied"
}

# --- the certificate ----------------------------------------------------------------------------------------------

epoch() { date -d "$(openssl x509 -in "$tls/cert.pem" -noout "-$1" | sed 's/^[^=]*=//')" +%s; }

# At half of its life, or as soon as the front-end trusts other CAs than we do.
renewal_is_due() {
    [ -e "$tls/cert.pem" ] || return 1
    if [ -z "$renew_at" ]; then
        from=$(epoch startdate) && to=$(epoch enddate) || return 1
        renew_at=$((from + (to - from) / 2))
    fi
    [ "$(date +%s)" -lt "$renew_at" ] || return 0
    trusted=$(sed -n 's/^trust //p' "$state/settings" 2>/dev/null)
    [ -n "$trusted" ] || return 1
    present=$(sha256sum "$tls/ca.pem") || return 1
    [ "${present%% *}" != "$trusted" ]
}

# The answer is our certificate, and after it the CAs that are trusted now.
renew() {
    umask 077
    csr=$(openssl req -new -key "$tls/key.pem" -subj /CN=clues -outform DER | base64 | tr -d '\n') &&
        printf 'csr=%s\n' "$csr" >"$work/body" && call 60 renew "$work/body" &&
        openssl x509 -in "$work/answer" -out "$work/cert.pem" 2>>"$work/words" &&
        openssl x509 -in "$work/cert.pem" -noout -pubkey >"$work/theirs" &&
        openssl pkey -in "$tls/key.pem" -pubout >"$work/ours" && cmp -s "$work/theirs" "$work/ours"
    result=$?
    umask 022
    [ "$result" = 0 ] || return 1
    awk '/^-----BEGIN CERTIFICATE-----$/ { n++ } n > 1' "$work/answer" >"$work/ca.pem"
    if [ -s "$work/ca.pem" ]; then
        openssl verify -CAfile "$work/ca.pem" -no-CApath "$work/cert.pem" >/dev/null 2>>"$work/words" || return 1
        replace "$tls/ca.pem" <"$work/ca.pem" || return 1
    fi
    replace "$tls/cert.pem" <"$work/cert.pem" || return 1
    renew_at=''
    say 'certificate renewed'
    # OpenVPN reads its files again and keeps its interface: connections hold.
    [ ! -e "$tunnel" ] || signal USR1 tunnel.vpn
}

renewal_step() {
    now
    [ "$uptime" -ge "$renew_try" ] && renewal_is_due || return 0
    renew_try=$((uptime + 60))
    renew || say "the certificate could not be renewed ($code) $(head -c 200 "$work/words")"
}

# --- programs that are kept running -------------------------------------------------------------------------------

# signal SIGNAL NAME: to the process that is noted under this name, if it still is one of ours
signal() {
    read -r noted 2>/dev/null <"$run/pids/$2" || return 1
    case $(tr '\0' ' ' 2>/dev/null <"/proc/$noted/cmdline") in
        *clues*) kill "-$1" "$noted" 2>/dev/null ;;
        *) return 1 ;;
    esac
}

# keep NAME CONFIG: OpenVPN, started again a second after it has ended, for whatever reason. While it says goodbye to a
# dead peer, a second long, its interface would still swallow what is sent to it.
keep() {
    child=''
    trap '[ -z "$child" ] || while kill -0 "$child"; do signal TERM "$1.vpn"; pause 0.1; done 2>/dev/null; exit 0' TERM
    while :; do
        openvpn --config "$2" --writepid "$run/pids/$1.vpn" </dev/null 2>&1 | while IFS= read -r line; do
            printf '%s: %s\n' "$1" "$line" >&2
            case $1:$line in
                clues-s*'(--ping-exit)'* | clues-s*'SIGTERM'*) ip link set dev "$1" down 2>/dev/null ;;
            esac
        done &
        child=$!
        wait "$child"
        child=''
        say "the tunnel $1 has ended"
        pause 1
    done
}

start_keeping() { # NAME CONFIG
    keep "$1" "$2" &
    echo $! >"$run/pids/$1.keeper"
}

stop_keeping() { # NAME
    signal TERM "$1.keeper" && { read -r noted <"$run/pids/$1.keeper"; wait "$noted"; }
    signal TERM "$1.vpn"
    rm -f "$run/pids/$1.keeper" "$run/pids/$1.vpn"
}

names() { (cd "$1" && set +f && for file in *"$2"; do [ ! -e "$file" ] || printf '%s\n' "${file%"$2"}"; done); }

stop_everything() {
    for name in $(names "$run/pids" .keeper; names "$run/pids" .vpn; names "$run/pids" .watch); do
        signal TERM "$name.watch"
        stop_keeping "$name"
    done
}

