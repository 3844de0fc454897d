# --- a router -----------------------------------------------------------------------------------------------------

# The rules and what is filled in take the place of the former ones in one step.
apply_firewall() {
    echo 1 >"/proc/sys/net/ipv4/ip_forward" || return 1
    # Several ways lead to one site; who may come by which is told by the rules. And while the tunnel is down, the way to
    # another site leads back to whence a packet came: a worker that is told so (a redirect) would remember it.
    for link in $(names /proc/sys/net/ipv4/conf ''); do
        echo 0 >"/proc/sys/net/ipv4/conf/$link/send_redirects"
        case $link in all | default) echo 2 >"/proc/sys/net/ipv4/conf/$link/rp_filter" ;; esac
    done 2>/dev/null
    { cat "$etc/router.nft" && awk '
        $1 == "forward" { print "add element inet clues members { " $2 " . " $3 " }"
                          if (!($3 in seen)) print "add element inet clues addresses { " $3 " }"; seen[$3] }
        $1 == "peer" { split($8, part, ".")
                       link = "clues-s" part[3] * 256 + part[4]
                       print "add rule inet clues shortcuts iifname \"" link "\" ip saddr { " $6 ", " $8 " } goto inward" }
        $1 == "peer" && $2 == "listen" { print "add element inet clues listening { " $9 " }" }' "$1"
    } >"$work/rules.nft" && nft -f "$work/rules.nft"
}

mask() { # of a length
    ones=$(((0xffffffff << (32 - $1)) & 0xffffffff))
    printf '%d.%d.%d.%d' $((ones >> 24)) $((ones >> 16 & 255)) $((ones >> 8 & 255)) $((ones & 255))
}

# What both ends can work out and a stranger cannot: packets without it are thrown away before TLS looks at them. It is
# no secret among the cluster's routers; who the peer is, its certificate's fingerprint decides.
first_filter() { # of the fingerprints of the listening and the connecting end
    echo '-----BEGIN OpenVPN Static key V1-----'
    for part in 1 2 3 4; do
        printf 'clues shortcut %s %s %s' "$part" "$1" "$2" | openssl dgst -sha512 -r
    done | sed 's/ .*//' | tr -d '\n' | fold -w 32
    printf '\n%s\n' '-----END OpenVPN Static key V1-----'
}

# shortcut ROLE ENDPOINT FINGERPRINT SUBNETS OWN PEER PORT LINK: OpenVPN's configuration. The interface is there only
# while the other end answers, and with it its routes: without them the way through the central point is taken. The
# listening end has room for one handshake, so one that was broken off must not keep it for long (hand-window).
shortcut() {
    cat <<END
dev $8
dev-type tun
proto udp4
ifconfig $5 $6
up-delay
cert $tls/shortcut.pem
key $tls/key.pem
peer-fingerprint "$3"
tls-crypt $run/shortcuts/$8.key
tls-version-min 1.2
tls-timeout 1
hand-window 3
data-ciphers AES-128-GCM:AES-256-GCM:CHACHA20-POLY1305
allow-compression no
route-delay 0
ping 1
ping-exit 3
explicit-exit-notify 1
sndbuf 4194304
rcvbuf 4194304
txqueuelen 5000
script-security 0
verb 1
mute 5
END
    if [ "$1" = listen ]; then
        printf 'tls-server\ndh none\nlport %s\nfloat\nping-timer-rem\n' "$7"
    else
        printf 'tls-client\nnobind\nremote %s %s\n' "${2%:*}" "${2##*:}"
    fi
    for subnet in $(echo "$4" | tr , ' '); do
        printf 'route %s %s vpn_gateway 100\n' "${subnet%/*}" "$(mask "${subnet#*/}")"
    done
}

apply_shortcuts() {
    mkdir -p "$run/shortcuts" || return 1
    grep '^peer ' "$1" >"$work/peers"
    wanted=' '
    [ ! -s "$work/peers" ] || own_print=$(openssl x509 -in "$tls/shortcut.pem" -noout -fingerprint -sha256 |
        sed 's/^[^=]*=//') && [ -n "${own_print=none}" ] || return 1
    while read -r _ role key endpoint print subnets own peer port; do
        rest=${peer#*.*.}
        link=clues-s$((${rest%.*} * 256 + ${rest#*.}))
        wanted="$wanted$link "
        file=$run/shortcuts/$link
        printf '%s\n' "$key" >"$file.peer"
        if [ "$role" = listen ]; then set -- "$own_print" "$print"; else set -- "$print" "$own_print"; fi
        (umask 077 && first_filter "$1" "$2" | replace "$file.key") || return 1
        shortcut "$role" "$endpoint" "$print" "$subnets" "$own" "$peer" "$port" "$link" >"$work/shortcut" || return 1
        if ! cmp -s "$work/shortcut" "$file.conf" || ! signal 0 "$link.keeper"; then
            stop_keeping "$link"
            replace "$file.conf" <"$work/shortcut" || return 1
            start_keeping "$link" "$file.conf"
        fi
    done <"$work/peers"
    for link in $(names "$run/shortcuts" .conf); do
        case $wanted in
            *" $link "*) ;;
            *) stop_keeping "$link"; rm -f "$run/shortcuts/$link.conf" "$run/shortcuts/$link.key" "$run/shortcuts/$link.peer" ;;
        esac
    done
}

# KEY up RECEIVED SENT, or KEY down 0 0, for each shortcut
shortcut_words() {
    for link in $(names "$run/shortcuts" .peer); do
        read -r key <"$run/shortcuts/$link.peer"
        awk -v link="$link:" -v key="$key" '
            $1 == link { print key, "up", $2, $10; found = 1 }
            END { if (!found) print key, "down 0 0" }' /proc/net/dev
    done
}

# ADDRESS HARDWARE-ADDRESS of each neighbour in the cluster's network that is no member: who asked for us, or whom we
# asked. The way out is no stranger.
stranger_words() {
    ways=$(ip -4 route show default | sed -n 's/.* via \([0-9.]*\).*/\1/p' | tr '\n' ' ')
    ip -4 neigh show to "$lan" 2>/dev/null | awk -v ways=" $ways" '
        NR == FNR { if ($1 == "forward") members[$3 " " $2]; next }
        { for (i = 2; i < NF; i++) if ($i == "lladdr" && !(($1 " " $(i + 1)) in members) && !index(ways, " " $1 " ")) print $1, $(i + 1) }
        ' "$state/settings" - | sort | head -n 30
}

# Runs beside the rest: tells what a router sees, and puts the rules back if somebody has thrown them away.
watch() {
    work=$run/watch last_strangers=-60
    trap 'exit 0' TERM
    while :; do
        pause "$period"
        [ -e "$state/settings" ] || continue
        nft list chain inet clues forward >/dev/null 2>&1 ||
            { say 'the rules were gone'; apply_firewall "$state/settings"; }
        words=$(shortcut_words)
        [ "$words" = "$shortcut_seen" ] || { report shortcut "$words" && shortcut_seen=$words; }
        now
        [ $((uptime - last_strangers)) -ge 60 ] || continue
        words=$(stranger_words)
        [ "$words" = "$strangers_seen" ] ||
            { last_strangers=$uptime; report strangers "$words" && strangers_seen=$words; }
    done
}

