//! A container's tree, made of plain folders; hostile ones first.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

/// `upper`, `two` over `one`, and a `volume` at `/data`; `secret` is the host's alone.
struct Bed {
    folder: tempfile::TempDir,
    tree: ContainerTree,
}

impl Bed {
    fn new() -> Bed {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["upper/var/log", "two/var/log", "one/var/log", "volume/logs", "secret"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        fs::write(path("secret/passwd"), "root").unwrap();
        let mount = |inside: &str, host: &str, access| TreeMount {
            inside: inside.into(),
            host: path(host),
            access,
        };
        let tree = ContainerTree {
            upper: Some(path("upper")),
            lowers: vec![path("two"), path("one")],
            mounts: vec![
                mount("/data", "volume", Access::Own),
                mount("/data/key", "secret", Access::None),
                mount("/host", "secret", Access::Host),
            ],
        };
        Bed { tree, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn resolve(&self, path: &str) -> Resolved {
        self.tree.resolve(Path::new(path), &AtomicBool::new(false)).unwrap()
    }

    /// The path that `path` really is, and the folder of the host that has it.
    fn real(&self, path: &str) -> (PathBuf, PathBuf) {
        let real = self.resolve(path).real;
        let (folder, way) = self.tree.locate(&real).unwrap();
        (real, folder.join(way))
    }
}

#[test]
fn links_lead_to_where_the_container_would_get() {
    let bed = Bed::new();
    symlink("/data/logs", bed.path("one/app")).unwrap();
    symlink("../../app", bed.path("two/var/log/far")).unwrap();
    assert_eq!(bed.real("/app"), ("/data/logs".into(), bed.path("volume/logs")));
    assert_eq!(bed.real("/var/log/far/x.log").1, bed.path("volume/logs/x.log"));
    assert!(bed.resolve("/app").is_linked);
    assert!(!bed.resolve("/var/log").is_linked);
}

#[test]
fn no_link_leads_out_of_the_container() {
    let bed = Bed::new();
    let secret = bed.path("secret");
    symlink(&secret, bed.path("upper/absolute")).unwrap();
    symlink("../../../../../../../../../../etc", bed.path("upper/up")).unwrap();
    symlink("loop", bed.path("upper/loop")).unwrap();
    assert_eq!(bed.real("/absolute").1, bed.path("upper").join(secret.strip_prefix("/").unwrap()));
    assert!(!bed.resolve("/absolute").is_there);
    assert_eq!(bed.real("/up/passwd").1, bed.path("upper/etc/passwd"));
    assert_eq!(bed.real("/../../etc").1, bed.path("upper/etc"));
    let error = bed.tree.resolve(Path::new("/loop"), &AtomicBool::new(false)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::LOOP.raw_os_error()));
}

#[test]
fn what_the_container_removed_of_its_image_is_not_there() {
    let bed = Bed::new();
    symlink("/data", bed.path("one/gone")).unwrap();
    fs::create_dir_all(bed.path("one/folder/sub")).unwrap();
    for name in ["gone", "folder"] {
        let path = bed.path("upper").join(name);
        mknodat(CWD, &path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    }
    assert_eq!(bed.real("/gone").0, Path::new("/gone"));
    assert!(!bed.resolve("/gone").is_there);
    assert!(!bed.resolve("/folder/sub").is_there);
    // A file of an upper layer hides a folder of a lower one.
    fs::create_dir_all(bed.path("one/var/log/x/y")).unwrap();
    fs::write(bed.path("two/var/log/x"), "").unwrap();
    assert!(!bed.resolve("/var/log/x/y").is_there);
}

#[test]
fn the_innermost_mount_counts_and_a_denied_one_is_refused() {
    let bed = Bed::new();
    assert_eq!(bed.real("/data").1, bed.path("volume"));
    assert_eq!(bed.real("/database").1, bed.path("upper/database"));
    let refused = bed.tree.locate(Path::new("/data/key/passwd")).unwrap_err();
    assert_eq!(Refusal::of(&refused), Some(&Refusal::Mount("/data/key".into())));
    // By a link, too.
    symlink("/data/key", bed.path("upper/way")).unwrap();
    assert!(bed.tree.resolve(Path::new("/way/passwd"), &AtomicBool::new(false)).is_err());
}

#[test]
fn a_folder_of_the_host_is_opened_without_links_on_the_way() {
    let bed = Bed::new();
    let (folder, way) = bed.tree.locate(Path::new("/host/passwd")).unwrap();
    assert_eq!(folder, Path::new("/"));
    let open = |way: &Path| {
        let folder = open_folder(Path::new("/")).unwrap();
        open_linkless(&folder, way, LOOK, &AtomicBool::new(false))
    };
    open(&way).unwrap();
    fs::rename(bed.path("secret"), bed.path("elsewhere")).unwrap();
    symlink(bed.path("elsewhere"), bed.path("secret")).unwrap();
    assert_eq!(open(&way).unwrap_err(), Errno::LOOP);
}
