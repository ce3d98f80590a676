# Ends what lives in the folder $1 of a node, and removes it, once the other end of the input is closed.
#
# Whoever holds that end may have been killed, so nothing is known but the folder. Its socket stands in the command
# lines of containerd and of the shims, which no death of containerd ends; containers descend from these. Control groups of
# pods bear the folder's name, but for those of a kubelet, which bear the containers' ids.
folder=$1
name=${folder##*/}
read -r _

# A process and all that descend from it.
family() {
    for process in "$@"; do
        echo "$process"
        # shellcheck disable=SC2046 # one word a process
        family $(cat "/proc/$process/task"/*/children 2>/dev/null)
    done
}

processes() {
    # shellcheck disable=SC2046 # one word a process
    family $(printf '%s\n' "$folder/containerd.sock" | grep -lzxF -f - /proc/[0-9]*/cmdline 2>/dev/null | cut -d / -f 3)
}

groups() {
    find /sys/fs/cgroup -maxdepth 2 -type d -name "$name"
    for task in "$folder"/state/io.containerd.runtime.v2.task/k8s.io/*; do
        # Without any, the pattern stands for itself, and would be all of all nodes.
        [ -d "$task" ] || continue
        find /sys/fs/cgroup -maxdepth 3 -type d -path "*/k8s.io/${task##*/}"
    done
}

tries=0
while [ $((tries += 1)) -le 200 ]; do
    found=$(processes | sort -u)
    [ -n "$found" ] || break
    # shellcheck disable=SC2086 # one word a process
    kill -9 $found 2>/dev/null
    sleep 0.05
done
# What a kubelet has set in the kernel.
while read -r key value; do
    echo "$value" >"/proc/sys/$key"
done 2>/dev/null <"$folder/sysctls"
# What pods called the API server.
while read -r address; do
    ip address del "$address" dev lo
done 2>/dev/null <"$folder/service-address"
# Deeper ones first; a network namespace ends with its last mount, and its links with it.
for _ in 1 2 3; do
    awk -v folder="$folder/" 'index($5, folder) == 1 { print $5 }' /proc/self/mountinfo | sort -r \
        | while read -r mount; do umount -l "$mount"; done
done 2>/dev/null
grep -h . "$folder"/state/io.containerd.runtime.v2.task/*/*/address 2>/dev/null | sed 's:^unix\://::' \
    | while read -r socket; do [ -S "$socket" ] && rm -f -- "$socket"; done
# A container whose shim was killed before it descends from nothing that is known, and what was killed takes its time to
# end: a group that cannot be removed has somebody in it.
tries=0
while [ $((tries += 1)) -le 200 ]; do
    left=$(groups 2>/dev/null)
    [ -n "$left" ] || break
    for group in $left; do
        find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u | xargs -r kill -9 2>/dev/null
        find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
    done
    [ "$tries" -eq 1 ] || sleep 0.05
done
# What may still be mounted is not ours to remove.
rm -rf --one-file-system -- "$folder"
