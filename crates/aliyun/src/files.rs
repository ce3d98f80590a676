//! Files: paths of Alibaba's agent as globs of ours.

/// Folders below one, up to which each depth is a glob of its own; deeper ones are any number.
const DEPTH_MAX: u64 = 8;

/// Globs of the files with such a name, up to `depth` folders below `folder`.
pub(crate) fn in_folder(folder: &str, name: &str, depth: u64) -> Vec<String> {
    with_depth(&format!("{}/**/{name}", folder.trim_end_matches('/')), depth)
}

/// `path`, whose `**` stands for at most `depth` folders, as globs.
pub(crate) fn with_depth(path: &str, depth: u64) -> Vec<String> {
    let Some((before, after)) = path.split_once("/**/") else { return vec![path.to_owned()] };
    if depth > DEPTH_MAX {
        return vec![path.to_owned()];
    }
    (0..=depth)
        .map(|folders| {
            let between = "*/".repeat(usize::try_from(folders).unwrap_or_default());
            format!("{before}/{between}{after}")
        })
        .collect()
}

/// Globs of what is not to be collected: all that is in folders like these, files with these names wherever they are,
/// and these paths.
pub(crate) fn excluded(folders: &[&str], names: &[&str], paths: &[&str]) -> Option<Vec<String>> {
    let below = folders.iter().map(|it| format!("{}/**", it.trim_end_matches('/')));
    let anywhere = names.iter().map(|it| format!("/**/{it}"));
    let paths = paths.iter().map(|&it| it.to_owned());
    let globs: Vec<String> = below.chain(anywhere).chain(paths).collect();
    (!globs.is_empty()).then_some(globs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_depth_is_a_glob_for_each_number_of_folders() {
        assert_eq!(in_folder("/var/log/", "*.log", 0), ["/var/log/*.log"]);
        let two = ["/var/log/*.log", "/var/log/*/*.log", "/var/log/*/*/*.log"];
        assert_eq!(in_folder("/var/log", "*.log", 2), two);
        assert_eq!(in_folder("/var/log", "*.log", 100), ["/var/log/**/*.log"]);
        assert_eq!(with_depth("/var/log/a.log", 0), ["/var/log/a.log"]);
    }
}
