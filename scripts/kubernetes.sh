#!/usr/bin/env bash
# Builds Kubernetes for the tests, once: the programs of scripts/kubernetes/go.mod into .cache/kubernetes/VERSION.
#
# usage: scripts/kubernetes.sh [--check]
#
# Go fetches the modules and checks them against go.sum, which pins the very bytes; its caches are the
# user's own, so that another work tree does not build all again. The first build takes some 15 minutes of
# a core, and 4 GB of Go's caches. --check builds nothing: exit code 1, and why, if there is something to build.
set -euo pipefail
cd "$(dirname "$0")/.."

# Stripped, and without C: they run wherever the kernel does.
programs=(etcd kube-apiserver kube-controller-manager kube-scheduler kubectl kubelet)
version=$(sed -n 's:^\tk8s.io/kubernetes v\([0-9.]*\).*:\1:p' scripts/kubernetes/go.mod)
home=$PWD/.cache/kubernetes/$version

fail() {
    echo "kubernetes: $*" >&2
    exit 1
}

# What it was built from stands beside the programs.
is_built() {
    cmp -s scripts/kubernetes/go.sum "$home/go.sum"
}

package_of() {
    case $1 in
        etcd) echo go.etcd.io/etcd/server/v3 ;;
        *) echo "k8s.io/kubernetes/cmd/$1" ;;
    esac
}

if [[ ${1:-} == --check ]]; then
    is_built && exit 0
    echo "Kubernetes $version is not built here; scripts/kubernetes.sh does it"
    exit 1
fi

# Two at once would build the same twice.
mkdir -p .cache/kubernetes
exec 9>.cache/kubernetes/lock
flock 9

is_built && exit 0
command -v go >/dev/null || fail "go is missing; Kubernetes $version is built with Go 1.26 or newer (https://go.dev)"

# What `kubectl version` says, and what clients find out about the server.
versions=k8s.io/component-base/version
IFS=. read -r major minor _ <<<"$version"
flags="-s -w -X $versions.gitVersion=v$version -X $versions.gitMajor=$major -X $versions.gitMinor=$minor"
# One compiler at a time needs 2 GB at most; a machine with more to spare may say otherwise.
jobs=${KUBERNETES_BUILD_JOBS:-1}
log=$PWD/.cache/kubernetes/build.log
rm -rf "$home" "$home.new"
mkdir "$home.new"
echo "kubernetes: building Kubernetes $version into $home; $log has what Go says"
: >"$log"
for program in "${programs[@]}"; do
    begin=$SECONDS
    CGO_ENABLED=0 GOTOOLCHAIN=local nice -n 10 go build -C scripts/kubernetes -mod=readonly -p "$jobs" -trimpath \
        -ldflags "$flags" -o "$home.new/$program" "$(package_of "$program")" >>"$log" 2>&1 9>&- \
        || { tail -n 20 "$log" >&2; fail "$program could not be built"; }
    echo "kubernetes: $program, $((SECONDS - begin)) s"
done
cp scripts/kubernetes/go.sum "$home.new/go.sum"
mv "$home.new" "$home"
