//! Files: host files by globs, with their rotated generations.
//!
//! A glob is walked component by component, so that only directories that can hold a match are
//! listed. `**` descends into everything below. A file whose name is another selected file's name
//! with a rotation suffix is a generation of that file, not a source of its own.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use flow::{Attribute, Context, ContextId, attribute as key};
use globset::{GlobBuilder, GlobMatcher, GlobSet};

use super::directories::Directories;
use super::rotation::{self, Suffix};
use super::{Found, Place, TenantMap};
use crate::fs::{FileKind, Fs, Printable};
use crate::source::SeenFile;

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

    /// For each glob the directory at or below which everything lies that it matches.
    #[must_use]
    pub fn roots(&self) -> Vec<PathBuf> {
        let mut roots: Vec<PathBuf> = self.include.iter().map(|it| it.base.clone()).collect();
        roots.sort();
        roots.dedup();
        roots
    }

    /// Whether this very path is selected, leaving aside whether it is there.
    #[must_use]
    pub fn takes(&self, path: &Path) -> bool {
        !self.exclude.is_match(path) && self.include.iter().any(|it| it.matches(path))
    }

    /// All selected chains that are there now; with `only`, those in these directories.
    pub(super) fn find(
        &self,
        fs: &dyn Fs,
        directories: &mut Directories,
        place: &Place,
        tenants: &TenantMap,
        only: Option<&HashSet<PathBuf>>,
    ) -> Vec<Found> {
        let mut leaves = HashSet::new();
        for pattern in &self.include {
            pattern.leaves(fs, directories, &mut leaves);
        }
        let mut found = Vec::new();
        for directory in leaves {
            if only.is_some_and(|only| !only.iter().any(|it| directory.starts_with(it))) {
                continue;
            }
            let names = directories.names(fs, &directory).to_vec();
            for (name, files) in self.chains(fs, directories, &directory, &names) {
                let live_path = directory.join(name);
                let make = || context(place, &tenants.of_files(), &live_path);
                let context = directories.context(&live_path, make);
                found.push(Found { live_path, context, files });
            }
        }
        found
    }

    /// The files of each chain of one directory, by the live file's name, oldest generation first.
    fn chains(
        &self,
        fs: &dyn Fs,
        directories: &mut Directories,
        directory: &Path,
        names: &[OsString],
    ) -> BTreeMap<OsString, Vec<SeenFile>> {
        let mut members: BTreeMap<&OsStr, Vec<(Option<Suffix<'_>>, &OsStr)>> = BTreeMap::new();
        for name in names.iter().filter(|name| !rotation::is_unfinished(name.as_bytes())) {
            let rotated = rotation::split(name.as_bytes())
                .map(|(base, suffix)| (OsStr::from_bytes(base), suffix))
                .filter(|(base, _)| self.takes(&directory.join(base)));
            match rotated {
                Some((base, suffix)) => members.entry(base).or_default().push((Some(suffix), name)),
                None if self.takes(&directory.join(name)) => {
                    members.entry(name).or_default().push((None, name));
                }
                None => {}
            }
        }
        let mut chains = BTreeMap::new();
        for (base, mut generations) in members {
            generations.sort_by(|one, other| match (one.0, other.0) {
                // A compressed file after the one it was made of.
                (Some(first), Some(second)) => rotation::oldest_first(first, second)
                    .then_with(|| one.1.len().cmp(&other.1.len())),
                (one, other) => one.is_none().cmp(&other.is_none()),
            });
            let seen = generations
                .into_iter()
                .filter_map(|(_, name)| directories.refusals.file(fs, directory.join(name)));
            let mut files: Vec<SeenFile> = seen.collect();
            rotation::drop_packed_twins(&mut files);
            if !files.is_empty() {
                chains.insert(base.to_owned(), files);
            }
        }
        chains
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

    /// Adds the directories that can hold a match.
    fn leaves(&self, fs: &dyn Fs, directories: &mut Directories, leaves: &mut HashSet<PathBuf>) {
        self.descend(fs, directories, &self.base, &self.components, 0, leaves);
    }

    fn descend(
        &self,
        fs: &dyn Fs,
        directories: &mut Directories,
        directory: &Path,
        components: &[Option<GlobMatcher>],
        depth: usize,
        leaves: &mut HashSet<PathBuf>,
    ) {
        let [first, rest @ ..] = components else { return };
        if rest.is_empty() {
            leaves.insert(directory.to_path_buf());
            return;
        }
        if first.is_none() {
            // Nothing stands for the `**`.
            self.descend(fs, directories, directory, rest, depth, leaves);
        }
        if depth >= DEPTH_MAX {
            return;
        }
        for name in directories.names(fs, directory).to_vec() {
            if first.as_ref().is_some_and(|matcher| !matcher.is_match(&name)) {
                continue;
            }
            let path = directory.join(&name);
            let is_directory = match fs.stat(&path) {
                Ok(stat) => stat.kind == FileKind::Directory,
                Err(error) => {
                    // `**` takes any name: what it may not enter is not what somebody asked for.
                    if first.is_some() {
                        directories.refusals.failed(&path, &error);
                    }
                    false
                }
            };
            if is_directory {
                let next = if first.is_none() { components } else { rest };
                self.descend(fs, directories, &path, next, depth + 1, leaves);
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
    let id = ContextId::of(&[b"file", place.cluster.as_bytes(), place.host.as_bytes(), &path]);
    let mut attributes = Vec::with_capacity(4);
    if !place.cluster.is_empty() {
        attributes.push(Attribute::text(key::K8S_CLUSTER_NAME, &*place.cluster));
    }
    if !place.node.is_empty() {
        attributes.push(Attribute::text(key::K8S_NODE_NAME, &*place.node));
    }
    attributes.push(Attribute::text(key::HOST_NAME, &*place.host));
    attributes.push(Attribute::text(key::LOG_FILE_PATH, Printable(live_path).to_string()));
    Context { id, tenant: Arc::clone(tenant), attributes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(glob: &str, path: &str) -> bool {
        let selection = FileSelection::new(&[glob.to_owned()], GlobSet::empty()).unwrap();
        selection.takes(Path::new(path))
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
    fn a_relative_glob_is_refused() {
        let error = FileSelection::new(&["log/*.log".to_owned()], GlobSet::empty()).unwrap_err();
        assert!(error.to_string().contains("begin it with a slash"));
    }
}
