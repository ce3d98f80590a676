//! Globs: a list of patterns, compiled once; equal if the patterns are.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

mod overlap;

pub(crate) use overlap::{Overlaps, Shared, literal};

/// Patterns, of which one must match.
#[derive(Clone)]
pub struct Globs {
    patterns: Arc<[String]>,
    set: Arc<GlobSet>,
}

/// What a pattern is matched against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Against {
    /// Names of Kubernetes objects.
    Names,
    /// Paths: `*` and `?` stay within one folder, `**` goes through any number.
    Paths,
}

impl Globs {
    /// Compiles `patterns`; on failure which of them is bad, and why.
    pub(crate) fn new(
        patterns: Vec<String>,
        against: Against,
    ) -> Result<Globs, Vec<(usize, String)>> {
        let mut builder = GlobSetBuilder::new();
        let mut bad = Vec::new();
        let compile = |text: &str| {
            let glob = GlobBuilder::new(text).literal_separator(against == Against::Paths).build();
            glob.map_err(|error| error.kind().to_string())
        };
        for (index, pattern) in patterns.iter().enumerate() {
            // Discovery goes from folder to folder: each part of a path is a glob by itself.
            let mut parts = pattern.split('/').filter(|_| against == Against::Paths);
            let glob = parts.try_for_each(|part| compile(part).map(drop));
            match glob.and_then(|()| compile(pattern)) {
                Ok(glob) => drop(builder.add(glob)),
                Err(why) => bad.push((index, why)),
            }
        }
        if !bad.is_empty() {
            return Err(bad);
        }
        match builder.build() {
            Ok(set) => Ok(Globs { patterns: patterns.into(), set: Arc::new(set) }),
            Err(error) => Err(vec![(0, error.kind().to_string())]),
        }
    }

    /// No pattern: nothing matches.
    #[must_use]
    pub fn none() -> Globs {
        Globs { patterns: Arc::default(), set: Arc::new(GlobSet::empty()) }
    }

    /// Whether one of the patterns matches `name`, a name or a whole path.
    #[must_use]
    pub fn matches(&self, name: impl AsRef<Path>) -> bool {
        self.set.is_match(name)
    }

    /// The compiled patterns.
    #[must_use]
    pub fn set(&self) -> &Arc<GlobSet> {
        &self.set
    }

    /// The patterns as written.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// For each pattern of paths the folder at or below which all that it matches lies.
    ///
    /// Sorted, without doubles, without those below another.
    #[must_use]
    pub fn roots(&self) -> Vec<PathBuf> {
        let mut roots: Vec<PathBuf> = self.patterns.iter().map(|it| root(it)).collect();
        roots.sort();
        roots.dedup_by(|later, earlier| later.starts_with(earlier));
        roots
    }
}

/// The leading folders of `pattern` that are literal; never its last part, which is a file.
fn root(pattern: &str) -> PathBuf {
    let is_literal = |part: &&str| !part.contains(['*', '?', '[', ']', '{', '}', '\\']);
    let folders = pattern.rsplit_once('/').map_or("", |(folders, _)| folders);
    let mut root = PathBuf::from("/");
    root.extend(folders.split('/').filter(|part| !part.is_empty()).take_while(is_literal));
    root
}

impl PartialEq for Globs {
    fn eq(&self, other: &Globs) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for Globs {}

impl fmt::Debug for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.patterns.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(patterns: &[&str]) -> Globs {
        Globs::new(patterns.iter().map(|&it| it.to_owned()).collect(), Against::Paths).unwrap()
    }

    #[test]
    fn a_star_stays_within_its_folder() {
        let globs = paths(&["/var/log/*.log", "/srv/**/out.txt"]);
        let cases = [
            ("/var/log/a.log", true),
            ("/var/log/b/a.log", false),
            ("/srv/out.txt", true),
            ("/srv/a/b/out.txt", true),
            ("/srv/a/b/out.txt.1", false),
        ];
        for (path, matches) in cases {
            assert_eq!(globs.matches(path), matches, "{path}");
        }
    }

    #[test]
    fn roots_are_the_literal_folders() {
        let globs =
            paths(&["/var/log/app/*/x.log", "/var/log/app/y.log", "/{a,b}/z", "/srv/[ab]/q"]);
        assert_eq!(globs.roots(), [Path::new("/")]);
        let globs =
            paths(&["/var/log/app/*/x.log", "/var/log/other/y.log", "/var/log/app/b/c.log"]);
        assert_eq!(globs.roots(), [Path::new("/var/log/app"), Path::new("/var/log/other")]);
    }

    #[test]
    fn each_part_of_a_path_is_a_glob_by_itself() {
        for pattern in ["/srv/{a/b,c}.log", "/srv/[a/b].log", "/srv/a\\/b.log"] {
            let bad = Globs::new(vec![pattern.to_owned()], Against::Paths).unwrap_err();
            assert_eq!(bad.len(), 1, "{pattern}");
        }
        assert_eq!(paths(&["/srv/{a,b}/[cd].log"]).patterns().len(), 1);
    }

    #[test]
    fn a_bad_pattern_is_told_by_its_index() {
        let bad = Globs::new(vec!["a*".to_owned(), "[a".to_owned()], Against::Names).unwrap_err();
        assert_eq!(bad.len(), 1);
        assert_eq!(bad[0].0, 1);
    }
}
