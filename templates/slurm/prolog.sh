#!/bin/sh
# Prolog of Slurm (lrms.clean): notes that this user has this job here, for the epilog that cleans up after the last one.
# Runs as root on the job's node before its first step. It never fails: that would drain the node.
#
# CLUES_ROOT (a prefix for all files) is for tests.
set -u
umask 077
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin

uid=${SLURM_JOB_UID:-} job=${SLURM_JOB_ID:-}
jobs=${CLUES_ROOT:-}/run/clues-jobs
[ "$(id -u)" = 0 ] || exit 0 # a slurmd that is not root has one user only
case $uid:$job in *[!0-9:]* | :* | *:) exit 0 ;; esac
[ "$uid" -ge 1000 ] || exit 0 # root, and services

mkdir -p "$jobs/$uid" && touch "$jobs/$uid.lock" || exit 0
# While an epilog cleans up after a former job of this user, this one waits.
exec 9>"$jobs/$uid.lock"
flock -w 60 9
touch "$jobs/$uid/$job"
exit 0
