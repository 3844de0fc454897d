# The machine's power button: makes the namespaces of one VM and runs its init in them.
#
# Usage: setsid --fork sh power-on.sh FOLDER-OF-THIS-FILE NETWORK, in the VM's own folder, user-data on standard input.
# Descriptor 8 is the network that the VM is plugged into; init closes it before anything of the VM's owner runs.
set -eu
exec 8<"$2"
exec unshare --net --uts --ipc --mount --pid --fork --kill-child -- sh "$1/init.sh"
