//! Files: host files by globs, with their rotated generations.
//!
//! A glob is walked component by component, so that only directories that can hold a match are
//! listed. `**` descends into everything below. A file whose name is another selected file's name
//! with a rotation suffix is a generation of that file, not a source of its own.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use flow::{Attribute, Context, ContextId, attribute as key};
use globset::{GlobBuilder, GlobMatcher, GlobSet};

use super::folder::join;
use super::{Place, Role, TenantMap, rotation};
use crate::fs::Printable;

/// Deepest directory below the beginning of a `**`.
///
/// 32: deeper than log trees are, and an end for trees that contain themselves by links.
const DEPTH_MAX: usize = 32;

/// Which host files are collected.
#[derive(Debug, Clone)]
pub struct FileSelection {
    include: Vec<Pattern>,
    exclude: GlobSet,
}

/// An absolute glob, taken apart.
#[derive(Debug, Clone)]
struct Pattern {
    /// What comes before the first wildcard.
    base: PathBuf,
    /// Components from there on; `None` for `**`.
    components: Vec<Option<GlobMatcher>>,
}

/// A glob that is not one.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{glob:?}: {why}")]
pub struct PatternError {
    glob: String,
    why: String,
}

impl FileSelection {
    /// The files that match one of `include`, absolute globs, and none of `exclude`.
    ///
    /// # Errors
    /// If a glob is relative or malformed.
    pub fn new(include: &[String], exclude: GlobSet) -> Result<FileSelection, PatternError> {
        let include = include.iter().map(|glob| Pattern::parse(glob)).collect::<Result<_, _>>()?;
        Ok(FileSelection { include, exclude })
    }

    /// Whether this very path is selected, leaving aside whether it is there.
    #[must_use]
    pub fn takes(&self, path: &Path) -> bool {
        !self.exclude.is_match(path) && self.include.iter().any(|it| it.matches(path))
    }

    /// For each glob the directory at or below which everything lies that it matches.
    #[must_use]
    pub fn roots(&self) -> Vec<PathBuf> {
        let mut roots: Vec<PathBuf> = self.include.iter().map(|it| it.base.clone()).collect();
        roots.sort();
        roots.dedup();
        roots
    }

    /// Whether there is a `**`.
    pub(super) fn takes_any_depth(&self) -> bool {
        self.include.iter().any(|it| it.components.iter().any(Option::is_none))
    }

    /// What this directory can hold.
    pub(super) fn role(&self, directory: &Path) -> Role {
        self.include.iter().map(|it| it.role(directory)).fold(Role::default(), Role::or)
    }

    /// Name of the live file of the chain that the file is of, if it is selected.
    #[must_use]
    pub fn chain<'a>(&self, directory: &Path, name: &'a OsStr) -> Option<&'a OsStr> {
        if rotation::is_unfinished(name.as_bytes()) {
            return None;
        }
        let base = rotation::split(name.as_bytes()).map(|(base, _)| OsStr::from_bytes(base));
        let mut candidates = base.into_iter().chain([name]);
        candidates.find(|base| self.takes(&join(directory, base)))
    }

    /// The context of a live file.
    pub(super) fn context(
        &self,
        place: &Place,
        tenants: &TenantMap,
        live_path: &Path,
    ) -> Option<Context> {
        Some(context(place, &tenants.of_files().ok()?, live_path))
    }
}

impl Pattern {
    fn parse(glob: &str) -> Result<Pattern, PatternError> {
        let error = |why: String| PatternError { glob: glob.to_owned(), why };
        let path = Path::new(glob);
        if !path.is_absolute() {
            return Err(error("not absolute; begin it with a slash".to_owned()));
        }
        let is_wild = |it: &OsStr| it.as_bytes().iter().any(|byte| b"*?[{\\".contains(byte));
        let parts: Vec<&OsStr> = path
            .components()
            .filter_map(|it| if let Component::Normal(part) = it { Some(part) } else { None })
            .collect();
        let Some(last) = parts.len().checked_sub(1) else {
            return Err(error("names no file".to_owned()));
        };
        // The last component is matched even if it is a plain name.
        let first_wild = parts.iter().position(|part| is_wild(part)).unwrap_or(last).min(last);
        let mut base = PathBuf::from("/");
        base.extend(&parts[..first_wild]);
        let mut components = Vec::new();
        for part in &parts[first_wild..] {
            components.push(if part.as_bytes() == b"**" {
                None
            } else {
                let text = part.to_str().ok_or_else(|| error("not UTF-8".to_owned()))?;
                let glob = GlobBuilder::new(text).literal_separator(true).build();
                Some(glob.map_err(|it| error(it.kind().to_string()))?.compile_matcher())
            });
        }
        if components.last().is_some_and(Option::is_none) {
            components.push(Some(
                GlobBuilder::new("*")
                    .build()
                    .map_err(|it| error(it.to_string()))?
                    .compile_matcher(),
            ));
        }
        Ok(Pattern { base, components })
    }

    fn matches(&self, path: &Path) -> bool {
        let Ok(rest) = path.strip_prefix(&self.base) else { return false };
        let parts: Vec<&OsStr> = rest.iter().collect();
        matches_parts(&self.components, &parts)
    }

    fn role(&self, directory: &Path) -> Role {
        let Ok(rest) = directory.strip_prefix(&self.base) else { return Role::default() };
        let parts: Vec<&OsStr> = rest.iter().collect();
        if parts.len() > DEPTH_MAX {
            return Role::default();
        }
        role_of(&self.components, &parts)
    }
}

/// What a directory is to the components that are left when its own are `parts`.
fn role_of(components: &[Option<GlobMatcher>], parts: &[&OsStr]) -> Role {
    match (components, parts) {
        ([], _) => Role::default(),
        ([Some(_)], []) => Role { is_inner: false, is_leaf: true },
        ([Some(_), ..], []) => Role { is_inner: true, is_leaf: false },
        // Either nothing stands for the `**`, or a directory in this one does.
        ([None, rest @ ..], []) => Role { is_inner: true, is_leaf: false }.or(role_of(rest, parts)),
        ([None, rest @ ..], [_, deeper @ ..]) => {
            role_of(rest, parts).or(role_of(components, deeper))
        }
        ([Some(matcher), rest @ ..], [part, deeper @ ..]) => {
            if matcher.is_match(part) {
                role_of(rest, deeper)
            } else {
                Role::default()
            }
        }
    }
}

fn matches_parts(components: &[Option<GlobMatcher>], parts: &[&OsStr]) -> bool {
    match (components, parts) {
        ([], []) => true,
        ([None, rest @ ..], _) => {
            matches_parts(rest, parts)
                || (!parts.is_empty() && matches_parts(components, &parts[1..]))
        }
        ([Some(matcher), rest @ ..], [part, parts @ ..]) => {
            matcher.is_match(part) && matches_parts(rest, parts)
        }
        _ => false,
    }
}

fn context(place: &Place, tenant: &Arc<str>, live_path: &Path) -> Context {
    let path = live_path.as_os_str().to_owned().into_vec();
    // A pod of the same name that comes after it has files of its own.
    let whose = place.pod.as_ref().map_or(&place.host, |it| &it.uid);
    let id = ContextId::of(&[b"file", place.cluster.as_bytes(), whose.as_bytes(), &path]);
    // As many as there are: there may be very many contexts.
    let named = [&place.cluster, &place.node].iter().filter(|it| !it.is_empty()).count();
    let of_pod = if place.pod.is_some() { 3 + place.pod_attributes.len() } else { 0 };
    let mut attributes = Vec::with_capacity(named + of_pod + 2);
    if !place.cluster.is_empty() {
        attributes.push(Attribute::text(key::K8S_CLUSTER_NAME, &*place.cluster));
    }
    if !place.node.is_empty() {
        attributes.push(Attribute::text(key::K8S_NODE_NAME, &*place.node));
    }
    if let Some(pod) = &place.pod {
        attributes.extend([
            Attribute::text(key::K8S_NAMESPACE_NAME, &*pod.namespace),
            Attribute::text(key::K8S_POD_NAME, &*pod.pod),
            Attribute::text(key::K8S_POD_UID, &*pod.uid),
        ]);
        attributes.extend_from_slice(&place.pod_attributes);
    }
    attributes.push(Attribute::text(key::HOST_NAME, &*place.host));
    attributes.push(Attribute::text(key::LOG_FILE_PATH, Printable(live_path).to_string()));
    Context { id, tenant: Arc::clone(tenant), attributes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::PodPath;

    fn takes(glob: &str, path: &str) -> bool {
        let selection = FileSelection::new(&[glob.to_owned()], GlobSet::empty()).unwrap();
        selection.takes(Path::new(path))
    }

    #[test]
    fn files_of_a_sidecar_bear_its_pod_and_are_of_that_pod_alone() {
        let pod = |uid: &str| PodPath {
            namespace: "shop".to_owned(),
            pod: "web-0".to_owned(),
            uid: uid.to_owned(),
        };
        let host = "web-0".to_owned();
        let pod_attributes = vec![Attribute::text("k8s.pod.label.app", "web")];
        let place = Place { host, pod: Some(pod("1")), pod_attributes, ..Place::default() };
        let of = |place: &Place| context(place, &"shop".into(), Path::new("/logs/app.log"));
        let first = of(&place);
        let text = |key| first.text(key);
        assert_eq!(
            [key::K8S_NAMESPACE_NAME, key::K8S_POD_NAME, key::K8S_POD_UID].map(text),
            [Some("shop"), Some("web-0"), Some("1")]
        );
        assert_eq!(text("k8s.pod.label.app"), Some("web"));
        // Its labels change, and it is the same file.
        assert_eq!(of(&Place { pod_attributes: Vec::new(), ..place.clone() }).id, first.id);
        assert_ne!(first.id, of(&Place { pod: Some(pod("2")), ..place.clone() }).id);
        assert_eq!(of(&Place { pod: None, ..place }).text(key::K8S_POD_NAME), None);
    }

    #[test]
    fn globs_match_component_by_component() {
        assert!(takes("/var/log/app.log", "/var/log/app.log"));
        assert!(takes("/var/log/*.log", "/var/log/app.log"));
        assert!(!takes("/var/log/*.log", "/var/log/sub/app.log"));
        assert!(takes("/var/log/*/app.log", "/var/log/sub/app.log"));
        assert!(takes("/var/log/**/*.log", "/var/log/app.log"));
        assert!(takes("/var/log/**/*.log", "/var/log/a/b/app.log"));
        assert!(takes("/var/log/**", "/var/log/a/b/app.txt"));
        assert!(takes("/var/log/{a,b}.log", "/var/log/b.log"));
        assert!(!takes("/var/log/*.log", "/var/lag/app.log"));
    }

    #[test]
    fn directories_are_walked_only_where_they_can_hold_a_match() {
        let cases = [
            ("/var/log/*.log", "/var/log", false, true),
            ("/var/log/*.log", "/var/log/sub.log", false, false),
            ("/var/log/*/app.log", "/var/log", true, false),
            ("/var/log/*/app.log", "/var/log/sub", false, true),
            ("/var/log/a*/app.log", "/var/log/sub", false, false),
            ("/var/log/**/*.log", "/var/log", true, true),
            ("/var/log/**/*.log", "/var/log/a/b", true, true),
            ("/var/log/**/x/*.log", "/var/log/a", true, false),
            ("/var/log/**/x/*.log", "/var/log/a/x", true, true),
            ("/var/log/*.log", "/var", false, false),
        ];
        for (glob, directory, is_inner, is_leaf) in cases {
            let selection = FileSelection::new(&[glob.to_owned()], GlobSet::empty()).unwrap();
            let role = selection.role(Path::new(directory));
            assert_eq!(role, Role { is_inner, is_leaf }, "{glob} {directory}");
        }
    }

    #[test]
    fn a_relative_glob_is_refused() {
        let error = FileSelection::new(&["log/*.log".to_owned()], GlobSet::empty()).unwrap_err();
        assert!(error.to_string().contains("begin it with a slash"));
    }
}
