#!/bin/sh
# Loads the NVIDIA driver that this VM's image has, and tells whether its GPUs are what they shall be, and well.
# POSIX sh; wants awk, timeout and what comes with the driver. Runs before slurmd starts, and may be run at any time.
#
# Usage: /etc/clues/check-gpus [load]. With `load` it only loads the driver. What there is goes to standard output, what is
# wrong to standard error, a line each; exit 1 if anything is.
#
# /etc/clues/gpus.conf: lines `want TYPE COUNT` (TYPE as Slurm calls it, - for any), `name TYPE PRODUCT` (what nvidia-smi
# calls it, where that cannot be told from the type), `driver VERSION` (the oldest that is taken), `ecc no`, `xid no`.
# CLUES_ROOT (a prefix for all files) is for tests.
set -uf
export LC_ALL=C

root=${CLUES_ROOT:-}
PATH=$PATH:$root/usr/sbin:$root/sbin
conf=$root/etc/clues/gpus.conf
seconds=60 wrong=0
umask 077
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM

refuse() {
    printf '%s\n' "$*" >&2
    wrong=1
}

# ask FILE OPTION...: what nvidia-smi says. A driver that hangs ends everything here.
ask() {
    file=$work/$1
    shift
    ended=0
    timeout -k 5 "$seconds" nvidia-smi "$@" >"$file" 2>"$work/words" </dev/null || ended=$?
    case $ended in
        0) return 0 ;;
        124 | 137) refuse "nvidia-smi $* does not answer in $seconds s: the driver hangs"; exit 1 ;;
    esac
    return 1
}

load() {
    for module in nvidia nvidia-uvm; do
        [ -d "$root/sys/module/$(echo "$module" | tr - _)" ] ||
            timeout -k 5 "$seconds" modprobe "$module" 2>"$work/words" || cat "$work/words"
    done
    # The device files of the GPUs and of unified memory, which jobs cannot make.
    timeout -k 5 "$seconds" nvidia-modprobe -u -c 0 2>/dev/null
    # The driver stays loaded between jobs; where the image has a service for it, that one sees to it.
    ask persistence -pm 1 || : # not every GPU has it
}

# What Slurm calls a10 is NVIDIA A10 for the driver, and a100 may be NVIDIA A100-SXM4-40GB: a type is one word of the
# product or several in a row, however they are joined. A part of a split GPU (MIG) goes by its profile, with such words
# before it or without: 1g.5gb, a100_1g.5gb. Where `name` lines say what a type is, only they count.
# shellcheck disable=SC2016  # awk's own variables
compare='
function plain(text) { text = tolower(text); gsub(/[^a-z0-9]/, "", text); return text }
function is_run(wanted, product, part, n, i, j, run) {
    n = split(tolower(product), part, /[^a-z0-9]+/)
    for (i = 1; i <= n; i++) {
        run = ""
        for (j = i; j <= n; j++) {
            run = run part[j]
            if (run == wanted) return 1
        }
    }
    return 0
}
function is_of(type, product, profile, wanted, end) {
    if (type == "-") return 1
    if (type in named) return index(named[type], "\n" product (profile == "" ? "" : " MIG " profile) "\n") > 0
    wanted = plain(type)
    if (profile == "") return is_run(wanted, product)
    end = plain(profile)
    if (wanted == end) return 1
    return substr(wanted, length(wanted) - length(end) + 1) == end &&
        is_run(substr(wanted, 1, length(wanted) - length(end)), product)
}
function add(product, profile) { products[count] = product; profiles[count] = profile; count++ }
function close_gpu() {
    if (whole == "") return
    if (!parts && mode[number] == "Enabled") unsplit = unsplit number " "
    else if (!parts) add(whole, "")
    whole = ""
}
BEGIN { count = 0 }
FILENAME == ARGV[1] && $1 == "want" { types[++wants] = $2; counts[wants] = $3; next }
FILENAME == ARGV[1] && $1 == "name" {
    type = $2
    sub(/^name +[^ ]+ +/, "")
    if (!(type in named)) named[type] = "\n"
    named[type] = named[type] $0 "\n"
    next
}
FILENAME == ARGV[1] { next }
FILENAME == ARGV[2] { split($0, field, /, */); mode[field[1]] = field[2]; next }
/^GPU / {
    close_gpu()
    number = $2; sub(/:$/, "", number)
    whole = $0; sub(/^GPU [0-9]+: /, "", whole); sub(/ \(UUID: .*$/, "", whole)
    parts = 0
}
/^ +MIG / { parts++; add(whole, $2) }
END {
    close_gpu()
    for (i = 0; i < count; i++) {
        one = products[i] (profiles[i] == "" ? "" : " MIG " profiles[i])
        if (!seen[one]++) order[++kinds] = one
    }
    for (i = 1; i <= kinds; i++) there = there (i == 1 ? "" : ", ") seen[order[i]] " x " order[i]
    if (there == "") there = "no GPU"
    for (any = 0; any <= 1; any++)
        for (w = 1; w <= wants; w++) {
            if ((types[w] == "-") != any) continue
            found = 0
            for (i = 0; i < count && found < counts[w]; i++)
                if (!taken[i] && is_of(types[w], products[i], profiles[i])) { taken[i] = 1; found++ }
            if (found < counts[w])
                lack = lack (lack == "" ? "" : ", ") counts[w] " x " (types[w] == "-" ? "any" : types[w])
        }
    print there
    if (lack != "") print "wanted are " lack ", there is " there
    if (unsplit != "") print "MIG mode is on and nothing made of it on GPU " unsplit
}'

# is_older THIS THAN: versions as numbers joined by dots
is_older() {
    printf '%s %s\n' "$1" "$2" | awk '{
        m = split($1, a, "."); n = split($2, b, ".")
        for (i = 1; i <= m || i <= n; i++) if (a[i] + 0 != b[i] + 0) exit !(a[i] + 0 < b[i] + 0)
        exit 1 }'
}

of_conf() { sed -n "s/^$1 //p" "$conf" 2>/dev/null | tail -n 1; }

check_driver() {
    ask driver --query-gpu=driver_version --format=csv,noheader ||
        { refuse "nvidia-smi fails: $(cat "$file" "$work/words" | head -c 300)"; exit 1; }
    driver=$(head -n 1 "$work/driver" | tr -cd '0-9.')
    least=$(of_conf driver)
    [ -z "$least" ] || ! is_older "$driver" "$least" || refuse "the driver is $driver here, at least $least is wanted"
}

check_types() {
    ask mode --query-gpu=index,mig.mode.current --format=csv,noheader || : >"$work/mode" # drivers before MIG
    ask list -L || { refuse "nvidia-smi -L fails: $(head -c 300 "$work/words")"; exit 1; }
    awk "$compare" "$conf" "$work/mode" "$work/list" >"$work/compared" ||
        { refuse 'the GPUs could not be compared'; exit 1; }
    {
        read -r there
        while IFS= read -r line; do refuse "$line"; done
    } <"$work/compared"
    printf 'gpu %s, driver %s\n' "$there" "$driver"
}

# Errors in memory that could not be mended, since the driver was loaded.
check_ecc() {
    [ "$(of_conf ecc)" != no ] || return 0
    ask ecc --query-gpu=index,ecc.errors.uncorrected.volatile.total --format=csv,noheader || return 0
    awk -F ', *' '$2 ~ /^[0-9]+$/ && $2 > 0 { print "GPU " $1 " has " $2 " uncorrected ECC errors" }' \
        "$work/ecc" >"$work/errors"
    while IFS= read -r line; do refuse "$line"; done <"$work/errors"
}

# What the driver has noted in the kernel's log. 13, 31, 43, 45 and 68 are what programs do.
check_xid() {
    [ "$(of_conf xid)" != no ] || return 0
    timeout -k 5 20 dmesg >"$work/log" 2>/dev/null ||
        timeout -k 5 20 journalctl -k -b --no-pager -o cat >"$work/log" 2>/dev/null
    sed -n 's/.*\(NVRM: Xid ([^)]*): [0-9][0-9]*.*\)/\1/p' "$work/log" |
        awk '{ match($0, /\): [0-9]+/); xid = substr($0, RSTART + 3, RLENGTH - 3) }
            xid !~ /^(13|31|43|45|68)$/' | tail -n 3 >"$work/errors"
    while IFS= read -r line; do refuse "$line"; done <"$work/errors"
}

command -v nvidia-smi >/dev/null || { refuse 'this image has no nvidia-smi: it has no driver for these GPUs'; exit 1; }
load
[ "${1:-}" != load ] || exit 0
check_driver
check_types
check_ecc
check_xid
exit "$wrong"
