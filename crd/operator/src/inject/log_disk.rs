//! Log disk: puts folders of a pod on log disks, volumes in memory which the agent of the node collects.
//!
//! As with sidecars, only ever added, and only once: of a pod that has its log disks, containers that came since get what
//! they lack. A folder that a container has on another volume stays there, and the pod gets none.

mod attributes;

use std::collections::BTreeMap;

use crd::LogDiskSettings;
use serde_json::{Value, json};

use super::ask::{Collection, Namespace, is_wanted, list, value};
use super::folders::{Containers, NEEDED, containers, folder_of, is_within, mount_around, trimmed};
use super::patch::Patch;
use super::{MIRROR, Skip, items, log_configs};
use attributes::{ATTRIBUTES, chosen};

/// The CSI driver, as the chart installs it.
pub(crate) const DRIVER: &str = "logdisk.logferry.dev";
/// What all keys begin with; attributes of the volume (`volumeAttributes`) stand behind it by their names.
const PREFIX: &str = "logdisk.logferry.dev/";
/// `true` or `false`: whether a pod, or the pods of a namespace, get log disks. A label or an annotation.
pub(crate) const INJECT: &str = "logdisk.logferry.dev/inject";
/// Folders as the containers see them, separated by commas: a log disk each.
pub(crate) const FOLDERS: &str = "logdisk.logferry.dev/folders";
/// The containers that get the folders, separated by commas; without it, all of the pod.
pub(crate) const CONTAINERS: &str = "logdisk.logferry.dev/containers";
/// What volumes are called, with a number.
const VOLUME: &str = "log-disk-";
/// Most folders of one pod: each takes three processes on the node.
const FOLDERS_MAX: usize = 8;

/// The operations that give a pod its log disks, none if it has all; and the pod after them.
///
/// # Errors
/// Why it gets none.
pub(crate) fn inject(
    pod: &Value,
    namespace: &Namespace,
    has_driver: bool,
) -> Result<(Vec<Value>, Value), Skip> {
    if !pod["metadata"]["annotations"][MIRROR].is_null() {
        return Err(Skip::MirrorPod);
    }
    is_wanted(pod, namespace, INJECT)?;
    if !has_driver {
        return Err(Skip::NoDriver);
    }
    if pod["spec"]["os"]["name"] == "windows" {
        return Err(Skip::Windows);
    }
    let (by_config, of_config) = log_configs::log_disk(pod, namespace).unzip();
    let attributes = attributes(pod, namespace, by_config.as_ref())?;
    let (folders, is_by_config) = folders(pod, namespace, by_config.as_ref())?;
    let names = match value(pod, namespace, CONTAINERS) {
        Some((_, names)) => list(&names),
        None if is_by_config => of_config.unwrap_or_default(),
        None => Vec::new(),
    };
    let containers = containers(pod, &names)?;
    let mut patch = Patch::new(pod);
    let mut made = 0;
    for folder in folders {
        let lacking = lacking(pod, &folder, &containers)?;
        let there = containers.iter().find_map(|(_, it)| disk_at(pod, it, &folder));
        let mut mount = json!({"mountPath": folder});
        match there {
            Some(there) => {
                mount["name"] = there["name"].clone();
                if !there["subPath"].is_null() {
                    mount["subPath"] = there["subPath"].clone();
                }
            }
            None => {
                let name = free_name(pod, &mut made);
                let mut csi = json!({"driver": DRIVER});
                if !attributes.is_empty() {
                    csi["volumeAttributes"] = json!(attributes);
                }
                patch.append("/spec/volumes", json!({"name": name, "csi": csi}));
                mount["name"] = json!(name);
            }
        }
        for container in lacking {
            patch.append(&format!("{container}/volumeMounts"), mount.clone());
        }
    }
    Ok(patch.finish())
}

/// Whether it depends on LogConfigs what the pod gets.
pub(crate) fn needs_log_configs(pod: &Value, namespace: &Namespace) -> bool {
    is_wanted(pod, namespace, INJECT).is_ok()
}

/// Whether a container has this folder on a log disk.
pub(super) fn has(pod: &Value, container: &Value, folder: &str) -> bool {
    mount_around(container, folder).is_some_and(|it| is_disk(pod, it))
}

/// Leaves to the agent of the node what a sidecar would collect, and is on log disks.
pub(super) fn leave(pod: &Value, collections: &mut Vec<Collection>) -> Result<(), Skip> {
    for collection in collections.iter_mut() {
        let containers = containers(pod, &collection.containers)?;
        let mut ours = Vec::new();
        for glob in std::mem::take(&mut collection.include) {
            let folder = folder_of(&glob)?;
            if !containers.iter().all(|(_, it)| has(pod, it, &folder)) {
                ours.push(glob);
            }
        }
        collection.include = ours;
    }
    collections.retain(|it| !it.include.is_empty());
    Ok(())
}

fn is_disk(pod: &Value, mount: &Value) -> bool {
    let volume = items(&pod["spec"]["volumes"]).find(|it| it["name"] == mount["name"]);
    volume.is_some_and(|it| it["csi"]["driver"] == DRIVER)
}

/// The mount of a log disk that a container has at exactly this folder.
fn disk_at<'a>(pod: &Value, container: &'a Value, folder: &str) -> Option<&'a Value> {
    let at = |it: &&Value| it["mountPath"].as_str().map(trimmed) == Some(folder);
    let mount = items(&container["volumeMounts"]).find(at)?;
    (is_disk(pod, mount) && mount["subPathExpr"].is_null()).then_some(mount)
}

/// Pointers to the containers that do not have the folder on a log disk yet.
fn lacking(pod: &Value, folder: &str, containers: &Containers<'_>) -> Result<Vec<String>, Skip> {
    let mut lacking = Vec::new();
    for (path, container) in containers {
        if disk_at(pod, container, folder).is_some() {
            continue;
        }
        let overlaps = |it: &&Value| {
            let at = it["mountPath"].as_str().map_or("", trimmed);
            is_within(folder, at) || is_within(at, folder)
        };
        if let Some(taken) = items(&container["volumeMounts"]).find(overlaps) {
            let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
            return Err(Skip::FolderTaken {
                folder: folder.to_owned(),
                container: text(&container["name"]),
                volume: text(&taken["name"]),
                at: text(&taken["mountPath"]),
            });
        }
        lacking.push(path.clone());
    }
    Ok(lacking)
}

/// A name that no volume of the pod has.
fn free_name(pod: &Value, next: &mut usize) -> String {
    loop {
        let name = format!("{VOLUME}{next}");
        *next += 1;
        if !items(&pod["spec"]["volumes"]).any(|it| it["name"] == *name) {
            return name;
        }
    }
}

/// The folders that the pod names, or else its namespace, or else the LogConfig; and whether it was that.
fn folders(
    pod: &Value,
    namespace: &Namespace,
    by_config: Option<&LogDiskSettings>,
) -> Result<(Vec<String>, bool), Skip> {
    let by_config = by_config.map(|it| &it.folders).filter(|it| !it.is_empty());
    match (value(pod, namespace, FOLDERS), by_config) {
        (Some((whose, text)), _) => Ok((usable(whose, FOLDERS, text, list)?, false)),
        (None, Some(folders)) => {
            let key = "source.containers.logDisk.folders";
            Ok((usable("LogConfig", key, folders.join(","), |_| folders.clone())?, true))
        }
        (None, None) => Err(Skip::NoFolders),
    }
}

/// The folders that are written, each once.
fn usable(
    whose: &'static str,
    key: &str,
    text: String,
    read: impl Fn(&str) -> Vec<String>,
) -> Result<Vec<String>, Skip> {
    let invalid =
        |why: String| Err(Skip::Invalid { whose, key: key.to_owned(), value: text.clone(), why });
    let mut folders: Vec<String> = read(&text).iter().map(|it| trimmed(it).to_owned()).collect();
    folders.sort();
    folders.dedup();
    if folders.is_empty() || folders.len() > FOLDERS_MAX {
        return invalid(format!("write 1 to {FOLDERS_MAX} folders, separated by commas"));
    }
    if let Some(folder) = folders.iter().find(|it| !is_folder(it)) {
        return invalid(format!(
            "{folder}: write the absolute path of a folder, without `..`, wildcards and colons"
        ));
    }
    if let Some(folder) = folders.iter().find(|it| NEEDED.contains(&it.as_str())) {
        return Err(Skip::Folder(format!(
            "{folder}: an empty volume there would hide what containers need; use a folder of logs alone"
        )));
    }
    let around = |inner: &String| folders.iter().find(|it| *it != inner && is_within(inner, it));
    if let Some((inner, outer)) = folders.iter().find_map(|it| Some((it, around(it)?))) {
        return invalid(format!("{inner} is within {outer}; write one of them"));
    }
    Ok(folders)
}

fn is_folder(path: &str) -> bool {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    path.strip_prefix('/').is_some_and(|it| it.split('/').all(is_plain))
        && !path.contains(['*', '?', '[', ']', '{', '}', '\\', ':'])
}

/// Attributes of the volumes, each of the pod, or else of its namespace, or else of the LogConfig.
fn attributes(
    pod: &Value,
    namespace: &Namespace,
    by_config: Option<&LogDiskSettings>,
) -> Result<BTreeMap<&'static str, String>, Skip> {
    let of_pod = pod["metadata"]["annotations"].as_object().into_iter().flatten();
    let of_pod = of_pod.map(|(key, _)| ("pod", key.as_str()));
    let of_namespace = namespace.annotations.keys().map(|it| ("namespace", it.as_str()));
    for (whose, key) in of_pod.chain(of_namespace) {
        let Some(name) = key.strip_prefix(PREFIX) else { continue };
        let is_known = [INJECT, FOLDERS, CONTAINERS].contains(&key);
        if !is_known && !ATTRIBUTES.iter().any(|it| it.name == name) {
            let names: Vec<&str> = ATTRIBUTES.iter().map(|it| it.name).collect();
            let why = format!(
                "there is no such key; there are inject, folders, containers, {}",
                names.join(", ")
            );
            let (_, value) = value(pod, namespace, key).unwrap_or_default();
            return Err(Skip::Invalid { whose, key: key.to_owned(), value, why });
        }
    }
    let chosen = by_config.into_iter().flat_map(chosen);
    let mut attributes: BTreeMap<&str, String> =
        chosen.filter_map(|(name, value)| Some((name, value?))).collect();
    for attribute in &ATTRIBUTES {
        let key = format!("{PREFIX}{}", attribute.name);
        let Some((whose, value)) = value(pod, namespace, &key) else { continue };
        if let Err(why) = (attribute.check)(&value) {
            return Err(Skip::Invalid { whose, key, value, why });
        }
        attributes.insert(attribute.name, value);
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests;
