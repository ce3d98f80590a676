//! Mounts: whose the files are that are mounted into a container.
//!
//! By where the kubelet has its volumes: `DIRECTORY/pods/UID/volumes/PLUGIN/NAME`, and
//! `DIRECTORY/pods/UID/volume-subpaths/NAME/CONTAINER/INDEX` for a part of one. A `hostPath` has no folder there, but a
//! part of one has: so a part is the pod's only if its volume is.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use cri::message::Mount as CriMount;
use serde_json::Value;

use crate::runtime::Info;
use crate::{Mount, Origin};

/// Plugins of volumes that no program writes to.
const PLUGINS_WITHOUT_LOGS: [&str; 4] = [
    "kubernetes.io~secret",
    "kubernetes.io~configmap",
    "kubernetes.io~projected",
    "kubernetes.io~downward-api",
];

/// Plugin of volumes that a driver makes, and how the kubelet calls what it writes down of each.
const CSI: &str = "kubernetes.io~csi";
const VOLUME_DATA: &str = "vol_data.json";
/// The driver of log disks. What is on them is collected where they are stored: here it would come twice, and be read
/// through a mount whose daemon may be away.
const LOG_DISKS: &str = "logdisk.logferry.dev";

/// All that is mounted over the root of a container of the pod `uid`.
pub(crate) fn of(
    directory: &Path,
    uid: &str,
    id: &str,
    told: &[CriMount],
    info: &Info,
) -> Vec<Mount> {
    let mut mounts = Vec::with_capacity(told.len());
    let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
    for mount in told {
        let (inside, host) =
            (PathBuf::from(&mount.container_path), PathBuf::from(&mount.host_path));
        if is_plain(&inside) && seen.insert(inside.clone()) {
            let origin = origin(directory, uid, &host);
            mounts.push(Mount { inside, host, origin });
        }
    }
    // What the runtime mounts of its own accord hides what is below, whatever it is.
    for mount in info.mounts() {
        let (inside, host) = (PathBuf::from(&mount.destination), PathBuf::from(&mount.source));
        if is_plain(&inside) && seen.insert(inside.clone()) {
            let is_of_image = is_volume_of_image(&host, id);
            let origin = if is_of_image { Origin::Image } else { Origin::NoLogs };
            mounts.push(Mount { inside, host, origin });
        }
    }
    mounts
}

fn origin(directory: &Path, uid: &str, host: &Path) -> Origin {
    if !is_plain(host) {
        return Origin::NoLogs;
    }
    let own = directory.join("pods").join(uid);
    let Ok(rest) = host.strip_prefix(&own) else { return Origin::Host };
    let parts: Vec<&OsStr> = rest.iter().collect();
    match *parts {
        [kind, plugin, volume, ..] if kind == "volumes" => of_volume(&own, plugin, volume),
        [kind, volume, _, _] if kind == "volume-subpaths" => {
            let plugin = plugin_of(&own.join("volumes"), volume);
            plugin.map_or(Origin::Host, |it| of_volume(&own, &it, volume))
        }
        _ => Origin::NoLogs,
    }
}

fn of_volume(own: &Path, plugin: &OsStr, volume: &OsStr) -> Origin {
    let has_none = PLUGINS_WITHOUT_LOGS.iter().any(|it| *it == plugin);
    if has_none || plugin == CSI && is_log_disk(&own.join("volumes").join(plugin).join(volume)) {
        Origin::NoLogs
    } else {
        Origin::Pod
    }
}

/// Whether it is a log disk, as the kubelet wrote down before it was mounted.
fn is_log_disk(volume: &Path) -> bool {
    let data = fs::read(volume.join(VOLUME_DATA)).ok();
    let data: Option<Value> = data.and_then(|it| serde_json::from_slice(&it).ok());
    data.is_some_and(|it| it["driverName"] == LOG_DISKS)
}

/// The plugin of the pod's volume of that name, if it has a folder.
fn plugin_of(volumes: &Path, name: &OsStr) -> Option<std::ffi::OsString> {
    let plugins = fs::read_dir(volumes).ok()?.filter_map(Result::ok);
    let mut has_it = plugins.filter(|it| fs::symlink_metadata(it.path().join(name)).is_ok());
    has_it.next().map(|it| it.file_name())
}

/// Whether containerd made it for a `VOLUME` of the image: `…/containers/ID/volumes/HASH`.
fn is_volume_of_image(host: &Path, id: &str) -> bool {
    let parts: Vec<&OsStr> = host.iter().collect();
    is_plain(host)
        && matches!(*parts, [.., containers, container, volumes, _]
            if containers == "containers" && container == id && volumes == "volumes")
}

/// Absolute, and without a way up.
fn is_plain(path: &Path) -> bool {
    let is_way_up = |it: Component<'_>| matches!(it, Component::ParentDir);
    path.is_absolute() && !path.components().any(is_way_up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_kubelet_has_for_this_very_pod_is_the_pods() {
        let directory = std::env::temp_dir().join(format!("mounts-{}", std::process::id()));
        let own = directory.join("pods/u-1");
        fs::create_dir_all(own.join("volumes/kubernetes.io~empty-dir/data")).unwrap();
        fs::create_dir_all(own.join("volumes/kubernetes.io~secret/key")).unwrap();
        let cases = [
            ("volumes/kubernetes.io~empty-dir/data", Origin::Pod),
            ("volumes/kubernetes.io~csi/pvc-1/mount", Origin::Pod),
            ("volumes/kubernetes.io~secret/key", Origin::NoLogs),
            ("volumes/kubernetes.io~projected/kube-api-access-x", Origin::NoLogs),
            ("volume-subpaths/data/app/0", Origin::Pod),
            ("volume-subpaths/key/app/0", Origin::NoLogs),
            // A part of a hostPath: no volume of this name has a folder.
            ("volume-subpaths/host/app/0", Origin::Host),
            ("etc-hosts", Origin::NoLogs),
            ("volumes/../../u-2/volumes/kubernetes.io~empty-dir/data", Origin::NoLogs),
        ];
        for (path, want) in cases {
            assert_eq!(origin(&directory, "u-1", &own.join(path)), want, "{path}");
        }
        let of_another = own.join("volumes/kubernetes.io~empty-dir/data");
        assert_eq!(origin(&directory, "u-2", &of_another), Origin::Host);
        for host in ["/var/log", "/", "/data/pods/u-1/volumes/kubernetes.io~empty-dir/data"] {
            assert_eq!(origin(&directory, "u-1", Path::new(host)), Origin::Host, "{host}");
        }
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_log_disk_is_left_to_who_collects_it_where_it_is_stored() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("pods/u-1");
        // As the kubelet writes it.
        for (name, driver) in [("pvc-1", "ebs.csi.aws.com"), ("disk", "logdisk.logferry.dev")] {
            let folder = own.join("volumes/kubernetes.io~csi").join(name);
            fs::create_dir_all(&folder).unwrap();
            let text = format!(
                r#"{{"attachmentID":"csi-0f","driverName":"{driver}","nodeName":"node1","specVolID":"{name}",
                    "volumeHandle":"csi-1e","volumeLifecycleMode":"Ephemeral"}}"#
            );
            fs::write(folder.join("vol_data.json"), text).unwrap();
        }
        for (path, want) in [
            ("volumes/kubernetes.io~csi/pvc-1/mount", Origin::Pod),
            ("volume-subpaths/pvc-1/app/0", Origin::Pod),
            ("volumes/kubernetes.io~csi/disk/mount", Origin::NoLogs),
            ("volume-subpaths/disk/app/0", Origin::NoLogs),
        ] {
            assert_eq!(origin(directory.path(), "u-1", &own.join(path)), want, "{path}");
        }
    }
}
