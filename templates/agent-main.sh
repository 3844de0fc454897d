# --- all of it ----------------------------------------------------------------------------------------------------

# A worker behind a router: an address that is renewed may take its route away.
set_routes() {
    # shellcheck disable=SC2086  # pairs of words
    set -- $routes
    while [ $# -ge 2 ]; do
        ip route replace "$1" via "$2" 2>/dev/null || say "no route to $1 by $2"
        shift 2
    done
}

urls=$(value "$etc/agent.conf" URLS)
kind=$(value "$etc/agent.conf" KIND)
routes=$(value "$etc/agent.conf" ROUTES)
lan=$(value "$etc/router.conf" LAN)
work=$run/main
dead_man=$(value "$etc/agent.conf" DEAD_MAN)
dead_man=${dead_man:-0}
(umask 077 && mkdir -p "$run/main" "$run/watch" "$run/look" "$run/spot" "$run/pids" "$run/nobody" "$state")
trap 'trap "" TERM; stop_everything; exit 0' TERM INT HUP
stop_everything # of a former run that was killed
rm -rf "$run/shortcuts"
# What was known last holds until the front-end tells more, also after a reboot.
[ "$kind" != router ] || [ -e "$state/settings" ] || printf 'clues-settings 1\ntag -\nend 2\n' >"$state/settings"
[ ! -e "$state/settings" ] || { check_settings "$state/settings" && apply "$state/settings"; }
[ ! -e "$tunnel" ] || start_keeping tunnel "$tunnel"
[ "$kind" != router ] || { watch & echo $! >"$run/pids/watch.watch"; }
look_after & echo $! >"$run/pids/look.watch"
[ "$(value "$etc/agent.conf" SPOT)" != ec2 ] || { watch_spot & echo $! >"$run/pids/spot.watch"; }
patience=1
while :; do
    set_routes
    renewal_step
    if settings_step; then
        patience=1
    else
        pause "$patience"
        patience=$((patience < 5 ? patience * 2 : 10))
    fi
done
