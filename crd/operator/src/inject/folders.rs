//! Folders: where the files to collect lie, and the volumes by which the sidecar sees them at the same paths.
//!
//! A folder that a container has on a volume is shared by that volume. One that lies in a container's own file system is
//! put on an `emptyDir`, which hides what the image has there.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::ask::Ask;
use super::patch::Patch;
use super::{NAME, Skip, Template, items, log_disk};

/// What volumes made for logs are called, with a number.
const MADE: &str = "logferry-files-";
/// Folders that an empty volume must not hide: without what is in them, no container runs.
pub(super) const NEEDED: [&str; 14] = [
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin",
    "/sys", "/usr", "/var",
];

/// Folders of logs.
#[derive(Debug, Default)]
pub(super) struct Folders {
    /// Volumes to make, and where they are mounted.
    made: Vec<(String, String)>,
    /// Mounts of the sidecar.
    mounts: Vec<Value>,
    /// Mounts that containers lack: the pointer to the list, and the mount.
    lacking: Vec<(String, Value)>,
}

impl Folders {
    /// Finds the volumes of all globs.
    pub(super) fn of(pod: &Value, ask: &Ask) -> Result<Folders, Skip> {
        let mut folders = Folders::default();
        // The outer first: what is within it needs no volume of its own.
        for (folder, containers) in wanted(pod, ask)? {
            let mut there: Vec<Value> = Vec::new();
            for (_, container) in &containers {
                let mount = mount_around(container, &folder);
                let mount = mount.map(as_seen_by_sidecar).filter(|it| !there.contains(it));
                there.extend(mount);
            }
            match there.as_slice() {
                [] => folders.make(&folder, &containers),
                [mount] => folders.share(mount.clone(), pod)?,
                _ => {
                    let why = format!("{folder} is of several volumes in different containers");
                    return Err(Skip::Folder(format!("{why}; name one in {}", super::CONTAINERS)));
                }
            }
        }
        Ok(folders)
    }

    /// Of a pod that has its sidecar: what containers lack that came since.
    pub(super) fn again(pod: &Value, ask: &Ask) -> Result<Folders, Skip> {
        let mut folders = Folders::default();
        let all = items(&pod["spec"]["initContainers"]).chain(items(&pod["spec"]["containers"]));
        let sidecar = all.into_iter().find(|it| it["name"] == NAME);
        let mounts = sidecar.map(|it| items(&it["volumeMounts"])).into_iter().flatten();
        let made: Vec<&Value> = mounts
            .filter(|it| it["name"].as_str().is_some_and(|it| it.starts_with(MADE)))
            .collect();
        for (folder, containers) in wanted(pod, ask)? {
            let path = |it: &Value| it["mountPath"].as_str().unwrap_or_default().to_owned();
            let around = made.iter().find(|it| is_within(&folder, &path(it)));
            if let Some(mount) = around {
                folders.lack(mount["name"].as_str().unwrap_or_default(), &path(mount), &containers);
            }
        }
        Ok(folders)
    }

    /// The volumes to make.
    pub(super) fn volumes(&self, template: &Template) -> Vec<Value> {
        let volume = |(name, _): &(String, String)| json!({"name": name, "emptyDir": {"sizeLimit": template.folder_size}});
        self.made.iter().map(volume).collect()
    }

    /// The sidecar's mounts: it only reads.
    pub(super) fn mounts(&self) -> &[Value] {
        &self.mounts
    }

    /// Adds the mounts that the containers lack.
    pub(super) fn mount(&self, patch: &mut Patch) {
        for (list, mount) in &self.lacking {
            patch.append(list, mount.clone());
        }
    }

    fn make(&mut self, folder: &str, containers: &[(String, &Value)]) {
        // A volume around it was made for another glob.
        if let Some((name, around)) = self.made.iter().find(|(_, it)| is_within(folder, it)) {
            let (name, around) = (name.clone(), around.clone());
            self.lack(&name, &around, containers);
            return;
        }
        let name = format!("{MADE}{}", self.made.len());
        self.mounts.push(json!({"name": name, "mountPath": folder, "readOnly": true}));
        self.lack(&name, folder, containers);
        self.made.push((name, folder.to_owned()));
    }

    fn lack(&mut self, volume: &str, folder: &str, containers: &[(String, &Value)]) {
        for (path, container) in containers {
            let mut mounts = items(&container["volumeMounts"]);
            if !mounts.any(|it| it["mountPath"].as_str().map(trimmed) == Some(folder)) {
                let mount = json!({"name": volume, "mountPath": folder});
                let lacking = (format!("{path}/volumeMounts"), mount);
                if !self.lacking.contains(&lacking) {
                    self.lacking.push(lacking);
                }
            }
        }
    }

    fn share(&mut self, mount: Value, pod: &Value) -> Result<(), Skip> {
        let mut volumes = items(&pod["spec"]["volumes"]);
        let of = volumes.find(|it| it["name"] == mount["name"]);
        let unfit = ["secret", "configMap", "projected", "downwardAPI"];
        if of.is_some_and(|it| unfit.iter().any(|kind| !it[*kind].is_null())) {
            let path = mount["mountPath"].as_str().unwrap_or_default();
            return Err(Skip::Folder(format!("{path} is a volume that no log is written to")));
        }
        if !mount["subPathExpr"].is_null() {
            let why = "has a subPathExpr, whose variables are the container's own";
            return Err(Skip::Folder(format!("{} {why}; write a subPath", mount["mountPath"])));
        }
        let is_other = |it: &Value| it["mountPath"] == mount["mountPath"] && *it != mount;
        if self.mounts.iter().any(is_other) {
            return Err(Skip::Folder(format!("{} is of several volumes", mount["mountPath"])));
        }
        if !self.mounts.contains(&mount) {
            self.mounts.push(mount);
        }
        Ok(())
    }
}

/// Containers, each with the pointer to it.
pub(super) type Containers<'a> = Vec<(String, &'a Value)>;

/// The folders of all globs, and the containers that are to have each.
fn wanted<'a>(pod: &'a Value, ask: &Ask) -> Result<BTreeMap<String, Containers<'a>>, Skip> {
    let mut wanted: BTreeMap<String, Containers<'a>> = BTreeMap::new();
    for collection in &ask.collections {
        let containers = containers(pod, &collection.containers)?;
        for glob in &collection.include {
            let folder = folder_of(glob)?;
            // What is on a log disk is the node's agent's.
            let ours = containers.iter().filter(|it| !log_disk::has(pod, it.1, &folder));
            let ours = ours.cloned().collect::<Vec<_>>();
            let has = wanted.entry(folder).or_default();
            ours.into_iter().for_each(|it| {
                if !has.contains(&it) {
                    has.push(it)
                }
            });
        }
    }
    Ok(wanted)
}

/// The containers of these names, or all.
pub(super) fn containers<'a>(pod: &'a Value, names: &[String]) -> Result<Containers<'a>, Skip> {
    let mut all = Vec::new();
    for kind in ["initContainers", "containers"] {
        for (index, container) in items(&pod["spec"][kind]).enumerate() {
            if container["name"] != NAME {
                all.push((format!("/spec/{kind}/{index}"), container));
            }
        }
    }
    let missing = names.iter().find(|it| !all.iter().any(|(_, has)| has["name"] == ***it));
    if let Some(missing) = missing {
        return Err(Skip::NoSuchContainer(missing.clone()));
    }
    if !names.is_empty() {
        all.retain(|(_, it)| names.iter().any(|name| it["name"] == **name));
    }
    Ok(all)
}

/// The folder that a glob begins with.
pub(super) fn folder_of(glob: &str) -> Result<String, Skip> {
    let refused = |why: &str| Err(Skip::Folder(format!("{glob}: {why}")));
    if !glob.starts_with('/') || glob.split('/').any(|it| it == "..") {
        return refused("write an absolute path without `..`");
    }
    let parts: Vec<&str> = glob.split('/').filter(|it| !it.is_empty()).collect();
    let is_plain = |part: &&&str| !part.contains(['*', '?', '[', ']', '{', '}', '\\']);
    let plain = parts.iter().take(parts.len().saturating_sub(1)).take_while(is_plain);
    let folder: String = plain.map(|it| format!("/{it}")).collect();
    if folder.is_empty() {
        return refused(
            "the files must lie in a folder of a fixed name, such as /var/log/app/*.log",
        );
    }
    if NEEDED.contains(&folder.as_str()) {
        return refused(
            "an empty volume there would hide what containers need; use a folder of logs alone",
        );
    }
    Ok(folder)
}

/// The innermost volume that a container has the folder on.
pub(super) fn mount_around<'a>(container: &'a Value, folder: &str) -> Option<&'a Value> {
    let around = items(&container["volumeMounts"])
        .filter(|it| it["mountPath"].as_str().is_some_and(|it| is_within(folder, trimmed(it))));
    around.max_by_key(|it| it["mountPath"].as_str().map_or(0, str::len))
}

/// The same place, for whoever only reads.
fn as_seen_by_sidecar(mount: &Value) -> Value {
    let mut seen = Map::new();
    for key in ["name", "subPath", "subPathExpr"] {
        if let Some(value) = mount.get(key).filter(|it| !it.is_null()) {
            seen.insert(key.to_owned(), value.clone());
        }
    }
    let path = mount["mountPath"].as_str().unwrap_or_default();
    seen.insert("mountPath".to_owned(), json!(trimmed(path)));
    seen.insert("readOnly".to_owned(), json!(true));
    Value::Object(seen)
}

pub(super) fn trimmed(path: &str) -> &str {
    if path.len() > 1 { path.trim_end_matches('/') } else { path }
}

pub(super) fn is_within(inner: &str, outer: &str) -> bool {
    Path::new(inner).starts_with(outer)
}
