//! Globs: what the configuration takes for a glob, discovery takes too, and they match the same files;
//! those that a matcher written from the documentation says.

use std::path::Path;

use crd::{ConfigFile, Globs, SourceSettings};

use super::{clean, selection};

/// One input: a glob, then paths, line by line.
pub(super) fn run(text: &[u8]) {
    let mut lines = text.split(|byte| *byte == b'\n').take(8);
    let Some(Ok(glob)) = lines.next().map(std::str::from_utf8) else { return };
    let Some(globs) = configured(glob) else { return };
    let selection = selection(glob).unwrap_or_else(|why| panic!("refused after the check: {why}"));
    // Longer ones say no more; and the root is no file.
    for path in lines.map(clean).filter(|it| (2..64).contains(&it.as_os_str().len())) {
        let takes = selection.takes(&path);
        assert_eq!(takes, globs.matches(&path), "{glob:?} and {path:?}");
        if let Some(matches) = obvious(glob, &path) {
            assert_eq!(takes, matches, "{glob:?} and {path:?}");
        }
        let is_below = |roots: Vec<std::path::PathBuf>| roots.iter().any(|it| path.starts_with(it));
        assert!(!takes || is_below(selection.roots()), "{path:?} lies beyond {glob:?}");
        assert!(!takes || is_below(globs.roots()), "{path:?} lies beyond {glob:?}");
    }
}

/// The glob as the configuration has it, if it is one.
fn configured(glob: &str) -> Option<Globs> {
    let glob = serde_json::to_string(glob).ok()?;
    let text = format!(
        "apiVersion: logferry.dev/v1alpha1\nkind: LogSink\nmetadata: {{name: default}}\nspec: {{blackhole: {{}}}}\n---\n\
         apiVersion: logferry.dev/v1alpha1\nkind: LogConfig\nmetadata: {{name: a}}\nspec: {{source: {{files: {{include: [{glob}]}}}}}}\n"
    );
    let file = ConfigFile { path: "a.yaml".into(), bytes: Ok(text.into_bytes()) };
    let mut settings = crd::resolve(vec![file]).ok()?;
    match settings.log_configs.remove(0).source {
        SourceSettings::Files(files) => Some(files.include),
        SourceSettings::Containers(_) => None,
    }
}

/// `*` and `?` within a folder, `**` through any number; `None` for globs with more than these.
fn obvious(glob: &str, path: &Path) -> Option<bool> {
    let is_simple = !glob.contains(['[', ']', '{', '}', '\\']);
    let folders: Vec<&str> = glob.split('/').filter(|it| !it.is_empty()).collect();
    let has_stars = folders.iter().any(|it| it.contains("**") && *it != "**");
    if !is_simple || has_stars {
        return None;
    }
    let path: Vec<&str> = path.to_str()?.split('/').filter(|it| !it.is_empty()).collect();
    Some(folders_match(&folders, &path))
}

fn folders_match(globs: &[&str], path: &[&str]) -> bool {
    match (globs, path) {
        ([], []) => true,
        // At the end it stands for one at least.
        (["**"], _) => !path.is_empty(),
        (["**", rest @ ..], _) => (0..=path.len()).any(|skip| folders_match(rest, &path[skip..])),
        ([glob, globs @ ..], [name, path @ ..]) => {
            let chars = |it: &str| it.chars().collect::<Vec<char>>();
            let (glob, name) = (chars(glob), chars(name));
            name_matches(&glob, &name) && folders_match(globs, path)
        }
        _ => false,
    }
}

fn name_matches(glob: &[char], name: &[char]) -> bool {
    match (glob, name) {
        ([], []) => true,
        (['*', glob @ ..], _) => (0..=name.len()).any(|skip| name_matches(glob, &name[skip..])),
        (['?', glob @ ..], [_, name @ ..]) => name_matches(glob, name),
        ([one, glob @ ..], [other, name @ ..]) => one == other && name_matches(glob, name),
        _ => false,
    }
}
