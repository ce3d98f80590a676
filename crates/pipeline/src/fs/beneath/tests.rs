//! Reaches over real trees, by `openat2` and step by step.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);

/// `logs/{app.log,sub/deep.log}`, `targets/t.log` and `secret/canary`; each file says its name.
fn tree() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().canonicalize().unwrap();
    for file in ["logs/app.log", "logs/sub/deep.log", "targets/t.log", "secret/canary"] {
        fs::create_dir_all(top.join(file).parent().unwrap()).unwrap();
        fs::write(top.join(file), file).unwrap();
    }
    (folder, top)
}

/// Both ways to open, of the same reach.
fn both(reach: &Reach) -> [Beneath; 2] {
    [Beneath::new(reach.clone()), Beneath::walking(reach.clone())]
}

/// What the file at `path` says, or why it is not opened.
fn read(beneath: &Beneath, path: &Path) -> String {
    match beneath.open(path, READ) {
        Ok(fd) => {
            let mut bytes = [0; 64];
            let len = rustix::io::read(&fd, &mut bytes).unwrap();
            String::from_utf8(bytes[..len].to_vec()).unwrap()
        }
        Err(error) => match Refusal::of(&error) {
            Some(Refusal::Link(_)) => "beyond".to_owned(),
            Some(refusal) => refusal.to_string(),
            None => format!("{:?}", error.kind()),
        },
    }
}

#[test]
fn a7_links_lead_where_the_reach_allows_and_nowhere_else() {
    let (_folder, top) = tree();
    let logs = top.join("logs");
    for (name, target) in [
        ("near", "app.log"),
        ("deep", "sub/deep.log"),
        ("up", "sub/../app.log"),
        ("folder", "sub"),
        ("chain", "near"),
        ("sub/back", "../app.log"),
        ("allowed", "../targets/t.log"),
        ("secret", "../secret/canary"),
        ("secrets", "../secret"),
        ("magic", "/proc/self/root"),
        ("loop", "loop"),
        ("dangling", "nothing"),
    ] {
        symlink(target, logs.join(name)).unwrap();
    }
    symlink(top.join("targets/t.log"), logs.join("absolute")).unwrap();
    symlink(logs.join("secret"), top.join("targets/on")).unwrap();
    symlink("../targets/on", logs.join("around")).unwrap();
    let magic = format!("magic{}/secret/canary", top.display());
    // Path, as seen by one owner's tree, and as seen in a shared tree.
    let cases = [
        ("app.log", "logs/app.log", "logs/app.log"),
        ("near", "logs/app.log", "beyond"),
        ("deep", "logs/sub/deep.log", "beyond"),
        ("up", "logs/app.log", "beyond"),
        ("folder/deep.log", "logs/sub/deep.log", "beyond"),
        ("chain", "logs/app.log", "beyond"),
        ("sub/back", "logs/app.log", "beyond"),
        ("folder/back", "logs/app.log", "beyond"),
        ("allowed", "targets/t.log", "targets/t.log"),
        ("absolute", "targets/t.log", "targets/t.log"),
        ("secret", "beyond", "beyond"),
        ("secrets/canary", "beyond", "beyond"),
        ("around", "beyond", "beyond"),
        (&magic, "beyond", "beyond"),
        ("loop", "FilesystemLoop", "beyond"),
        ("dangling", "NotFound", "beyond"),
        ("nothing", "NotFound", "NotFound"),
    ];
    let own = Reach::own_trees(vec![logs.clone()], vec![top.join("targets")]);
    let shared = Reach::shared_tree(logs.clone(), vec![top.join("targets")]);
    for (path, by_owner, when_shared) in cases {
        for (way, (own, shared)) in both(&own).iter().zip(&both(&shared)).enumerate() {
            assert_eq!(read(own, &logs.join(path)), by_owner, "{path}, way {way}");
            assert_eq!(read(shared, &logs.join(path)), when_shared, "{path}, shared, way {way}");
        }
    }
    let outside = read(&both(&own)[0], &top.join("secret/canary"));
    assert_eq!(outside, Refusal::Outside.to_string());
}

#[test]
fn links_on_the_way_to_a_root_are_the_administrators() {
    let (_folder, top) = tree();
    symlink(top.join("logs"), top.join("alias")).unwrap();
    symlink("../../secret/canary", top.join("logs/sub/secret")).unwrap();
    symlink("../app.log", top.join("logs/sub/app")).unwrap();
    // The link says the real place, the reach the alias; and the other way round.
    symlink(top.join("logs/app.log"), top.join("logs/real")).unwrap();
    symlink(top.join("alias/app.log"), top.join("logs/by-alias")).unwrap();
    for beneath in both(&Reach::own_trees(vec![top.join("alias")], Vec::new())) {
        let read = |path: &str| read(&beneath, &top.join("alias").join(path));
        assert_eq!(read("sub/deep.log"), "logs/sub/deep.log");
        assert_eq!(read("sub/app"), "logs/app.log");
        assert_eq!(read("real"), "logs/app.log");
        assert_eq!(read("by-alias"), "logs/app.log");
        assert_eq!(read("sub/secret"), "beyond");
    }
}

#[test]
fn a_root_that_is_made_anew_is_noticed_by_the_next_look_at_it() {
    let (_folder, top) = tree();
    let logs = top.join("logs");
    for (number, beneath) in
        both(&Reach::own_trees(vec![logs.clone()], Vec::new())).iter().enumerate()
    {
        assert_ne!(read(beneath, &logs.join("app.log")), "NotFound");
        fs::rename(&logs, top.join(format!("old{number}"))).unwrap();
        assert!(beneath.open(&logs, STEP).is_err());
        fs::create_dir(&logs).unwrap();
        fs::write(logs.join("app.log"), "new").unwrap();
        beneath.open(&logs, STEP).unwrap();
        assert_eq!(read(beneath, &logs.join("app.log")), "new");
    }
}
