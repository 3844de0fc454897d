#!/bin/sh
# Epilog of Slurm (lrms.clean): leaves nothing of a user on a node where no job of theirs runs any more, and nothing of a
# job on its GPUs. Runs as root on the job's node after its last step. POSIX sh; wants GNU find, flock and awk.
#
# Cleaned are /tmp, /var/tmp, /dev/shm and the folders that /etc/clues/scratch names, a line each: files of the user, as
# well as their processes and shared memory. A GPU that cannot be cleaned, or is found unwell, makes it fail: Slurm drains
# the node then ("Epilog error").
# CLUES_ROOT (a prefix for all files) is for tests.
set -u
export LC_ALL=C
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin

root=${CLUES_ROOT:-}
uid=${SLURM_JOB_UID:-} job=${SLURM_JOB_ID:-} gpus=${SLURM_JOB_GPUS:-}
jobs=$root/run/clues-jobs
ended=0
[ "$(id -u)" = 0 ] || exit 0 # a slurmd that is not root has one user only
case $uid:$job in *[!0-9:]* | :* | *:) exit 0 ;; esac
[ "$uid" -ge 1000 ] || exit 0 # root, and services

say() { printf 'clues: epilog of job %s: %s\n' "$job" "$*" >&2; }

has_other_jobs() {
    set -- "$jobs/$uid"/*
    [ -e "$1" ]
}

processes() { find "$root/proc" -mindepth 1 -maxdepth 1 -name '[0-9]*' -user "$uid" 2>/dev/null | sed 's|.*/||'; }

end_processes() {
    for _ in 1 2 3 4 5; do
        left=$(processes)
        [ -n "$left" ] || return 0
        # shellcheck disable=SC2086  # numbers
        kill -KILL $left 2>/dev/null
        sleep 0.2 2>/dev/null || sleep 1
    done
}

# What is mounted below a folder is not of this node, or not scratch: a home, say. A mount of the same file system (bind)
# looks like any folder to `find -xdev`, so each is left out by its name. Removed is from within the folder that a file is
# in (execdir), so nobody can put another folder in its place meanwhile.
remove_files_in() { # FOLDER
    case $(stat -f -c %T "$1" 2>/dev/null) in
        nfs* | smb* | cifs | lustre | ceph | fuse* | gpfs | afs | panfs | '') return 0 ;; # other nodes have it, too
    esac
    mounts=$(awk -v folder="$1/" 'index($5, folder) == 1 { print $5 }' "$root/proc/self/mountinfo" 2>/dev/null)
    case $mounts in *[][*?\\]*) say "$1 is not cleaned: something with a strange name is mounted there"; return 0 ;; esac
    set -- "$1" -xdev -mindepth 1
    for mount in $mounts; do set -- "$@" -path "$mount" -prune -o; done
    timeout 300 find "$@" ! -type d -user "$uid" -execdir rm -f -- '{}' + 2>/dev/null
    rounds=0 # a folder is empty when those in it are gone
    while [ "$rounds" -lt 64 ] &&
        [ -n "$(timeout 60 find "$@" -type d -empty -user "$uid" -execdir rmdir -- '{}' ';' -print 2>/dev/null | tail -n 1)" ]; do
        rounds=$((rounds + 1))
    done
}

remove_files() {
    while IFS= read -r folder; do
        case $folder in /?*) ;; *) continue ;; esac
        [ ! -d "$root$folder" ] || remove_files_in "$root$folder"
    done <<END
/tmp
/var/tmp
/dev/shm
$(cat "$root/etc/clues/scratch" 2>/dev/null)
END
}

remove_shared_memory() { # of System V, which outlives its processes
    for kind in shm:m:8 sem:s:5 msg:q:8; do
        column=${kind##*:} option=${kind#*:}
        awk -v uid="$uid" -v column="$column" 'NR > 1 && $column == uid { print $2 }' "$root/proc/sysvipc/${kind%%:*}" \
            2>/dev/null | while read -r id; do ipcrm "-${option%:*}" "$id" 2>/dev/null; done
    done
}

# The user's processes that still are on the job's GPUs.
on_gpus() {
    timeout -k 5 30 nvidia-smi -i "$gpus" --query-compute-apps=pid --format=csv,noheader 2>/dev/null | tr -cd '0-9\n' |
        while read -r pid; do
            [ -z "$(find "$root/proc/$pid" -maxdepth 0 -user "$uid" 2>/dev/null)" ] || echo "$pid"
        done
}

clean_gpus() {
    for _ in 1 2 3 4 5 6 7 8; do
        left=$(on_gpus)
        [ -n "$left" ] || break
        # shellcheck disable=SC2086  # numbers
        kill -KILL $left 2>/dev/null
        sleep 0.5 2>/dev/null || sleep 1
    done
    [ -z "$left" ] || { say "process $left stays on GPU $gpus"; ended=1; }
    # Clocks and modes that a job may have set, where it may; not every GPU has all of them.
    for option in -rgc -rmc -rac '-c 0'; do
        # shellcheck disable=SC2086  # an option and its value
        timeout -k 5 30 nvidia-smi -i "$gpus" $option >/dev/null 2>&1
    done
    [ ! -x "$root/etc/clues/check-gpus" ] || grep -qs '^GPUS=' "$root/etc/clues/facts" ||
        wrong=$(timeout -k 5 120 "$root/etc/clues/check-gpus" 2>&1 >/dev/null) || { say "$wrong"; ended=1; }
}

mkdir -p "$jobs/$uid" && touch "$jobs/$uid.lock" || exit 0
exec 9>"$jobs/$uid.lock"
flock -w 60 9
rm -f "$jobs/$uid/$job"
if ! has_other_jobs; then
    end_processes
    remove_files
    remove_shared_memory
    rmdir "$jobs/$uid" 2>/dev/null
fi
[ -z "$gpus" ] || ! command -v nvidia-smi >/dev/null || clean_gpus
exit "$ended"
