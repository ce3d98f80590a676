#!/usr/bin/env bash
# Tells whether containers can run here, for the tests of a real node (crates/node-kit): exit code 1, and why, if not.
#
# usage: scripts/node.sh
set -euo pipefail

cannot() {
    echo "$*"
    exit 1
}

((EUID == 0)) || cannot "containers are run by root alone"
grep -qw overlay /proc/filesystems || cannot "the kernel has no overlayfs"
for program in containerd containerd-shim-runc-v2 ctr runc /usr/lib/cni/ptp /bin/busybox; do
    command -v "$program" >/dev/null || cannot "$program is missing; scripts/need.sh node installs it"
done

# Inside of a container that may not mount, there can be no other.
work=$(mktemp -d)
trap 'umount "$work/all" 2>/dev/null; rm -rf "$work"' EXIT
mkdir "$work"/{lower,upper,work,all}
mount -t overlay -o "lowerdir=$work/lower,upperdir=$work/upper,workdir=$work/work" test "$work/all" 2>/dev/null \
    || cannot "overlayfs cannot be mounted in ${TMPDIR:-/tmp}"

# The same of control groups, of namespaces, and of the pods' network.
for groups in /sys/fs/cgroup/memory /sys/fs/cgroup; do
    [[ -d $groups ]] || continue
    { mkdir "$groups/logferry-probe-$$" && rmdir "$groups/logferry-probe-$$"; } 2>/dev/null \
        || cannot "control groups cannot be made in $groups"
    break
done
unshare --mount --pid --net --uts --ipc --fork ip link add lf-probe type veth peer name lf-prober 2>/dev/null \
    || cannot "namespaces with a network of their own cannot be made"
