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

/// Globs of all that is in folders like these.
pub(crate) fn below(folders: &[&str]) -> impl Iterator<Item = String> {
    folders.iter().map(|it| format!("{}/**", it.trim_end_matches('/')))
}

/// Globs of files with these names, wherever they are.
pub(crate) fn of_names(names: &[&str]) -> impl Iterator<Item = String> {
    names.iter().map(|it| format!("/**/{it}"))
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
