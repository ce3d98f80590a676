//! Containers made of plain folders: which roots they have, and how a discovery follows them.

use std::fs;
use std::os::unix::fs::symlink;

use globset::GlobSet;

use super::*;
use crate::discovery::NameFilter;
use crate::fs::TreeMount;

/// Containers as a test says.
#[derive(Debug, Default)]
struct Told(RwLock<(u64, Vec<Arc<Container>>)>);

impl Containers for Told {
    fn version(&self) -> u64 {
        self.0.read().unwrap().0
    }

    fn selected(&self, selects: &dyn Fn(&PodPath, &str) -> bool) -> Vec<Arc<Container>> {
        let mut all = self.0.read().unwrap().1.clone();
        all.retain(|it| selects(&it.pod, &it.name));
        all
    }

    fn is_elsewhere(&self, _: &PodPath, _: &Path, name: &OsStr) -> bool {
        name == "elsewhere.log"
    }
}

impl Told {
    fn set(&self, containers: &[Container]) {
        let mut told = self.0.write().unwrap();
        told.0 += 1;
        told.1 = containers.iter().cloned().map(Arc::new).collect();
    }
}

struct Bed {
    folder: tempfile::TempDir,
    told: Arc<Told>,
    selection: InsideSelection,
}

impl Bed {
    fn new(globs: &[&str]) -> Bed {
        let told = Arc::new(Told::default());
        let names = NameFilter::default;
        let pods = PodSelection {
            root: PathBuf::new(),
            namespaces: names(),
            pods: names(),
            containers: names(),
            facts: None,
        };
        let globs: Vec<String> = globs.iter().map(|&it| it.to_owned()).collect();
        let files = FileSelection::new(&globs, GlobSet::empty()).unwrap();
        let containers = Arc::clone(&told) as Arc<dyn Containers>;
        let selection = InsideSelection::new(pods, files, containers);
        Bed { folder: tempfile::tempdir().unwrap(), told, selection }
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// A container of pod `web-0`, with the pod's volume `v` at `/data`.
    fn container(&self, name: &str, id: &str) -> Container {
        let pod = PodPath { namespace: "shop".into(), pod: "web-0".into(), uid: "u".into() };
        let data = TreeMount { inside: "/data".into(), host: self.path("v"), access: Access::Own };
        let upper = Some(self.path(&format!("{id}/upper")));
        let tree = ContainerTree { upper, lowers: vec![self.path("image")], mounts: vec![data] };
        let (id, name) = (id.into(), name.to_owned());
        Container { id, pod, name, restart: 0, has_ended: false, tree: Arc::new(tree) }
    }

    fn renew(&self) -> Renewal {
        let renewal = self.selection.renew(&TenantMap::default(), false);
        self.selection.retire();
        renewal
    }

    fn context(&self, path: &Path) -> Context {
        let place = Place { cluster: "c".into(), ..Place::default() };
        self.selection.context(&place, &TenantMap::default(), path).unwrap()
    }
}

fn sorted(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort();
    paths
}

#[test]
fn a_glob_begins_where_the_host_has_its_folder() {
    let bed = Bed::new(&["/var/log/app/*.log", "/data/**/*.log", "/link/*.log", "/*/x.log"]);
    symlink("/data/deep", bed.path("image").join("link")).unwrap();
    bed.told.set(&[bed.container("app", "1")]);
    let renewal = bed.renew();
    assert!(renewal.refused.is_empty(), "{:?}", renewal.refused);
    let want =
        ["1/upper", "1/upper/var/log/app", "v", "v/deep"].map(|it| bed.folder.path().join(it));
    assert_eq!(sorted(bed.selection.roots()), want);
    assert!(bed.selection.is_unsettled(), "a link may lead elsewhere");
    let takes = |directory: &Path| {
        let chain = bed.selection.chain(directory, OsStr::new("x.log"));
        bed.selection.role(directory).is_leaf && chain.is_some()
    };
    assert!(takes(&want[1]) && takes(&want[2]) && takes(&want[3]) && takes(&want[2].join("a/b")));
    assert!(takes(&want[0].join("tmp")), "/tmp/x.log");
    assert_eq!(bed.selection.chain(&want[1], OsStr::new("elsewhere.log")), None);
    assert!(!takes(&want[0].join("data")), "hidden by the volume");
    assert!(!takes(&bed.path("elsewhere")));
}

#[test]
fn a_file_of_a_volume_is_the_same_over_restarts_and_whoever_sees_it() {
    let bed = Bed::new(&["/data/*.log", "/tmp/*.log"]);
    let (first, second) = (bed.container("app", "1"), bed.container("app", "2"));
    bed.told.set(std::slice::from_ref(&first));
    bed.renew();
    let of_volume = bed.path("v").join("a.log");
    let overlays = ["1/upper/tmp", "2/upper/tmp"].map(|it| bed.path(it).join("a.log"));
    let (before, overlay) = (bed.context(&of_volume).id, bed.context(&overlays[0]));
    assert_eq!(overlay.text(key::LOG_FILE_PATH), Some("/tmp/a.log"));
    assert_eq!(overlay.to_string(), "shop/web-0/app/0");
    assert_eq!(&*overlay.tenant, "shop");

    let ended = Container { has_ended: true, ..first };
    let sidecar = bed.container("sidecar", "3");
    bed.told.set(&[ended, second, sidecar]);
    let renewal = bed.renew();
    assert!(renewal.leaving.is_empty());
    assert_eq!(bed.context(&of_volume).id, before);
    assert_eq!(bed.context(&of_volume).to_string(), "shop/web-0/app");
    assert_ne!(bed.context(&overlays[1]).id, overlay.id);
}

#[test]
fn what_has_left_is_no_root_any_more_and_is_known_still() {
    let bed = Bed::new(&["/tmp/*.log"]);
    bed.told.set(&[bed.container("app", "1")]);
    let root = bed.path("1/upper/tmp");
    assert_eq!(bed.renew().fresh, std::slice::from_ref(&root));
    assert!(bed.renew().fresh.is_empty());
    let ended = Container { has_ended: true, ..bed.container("app", "1") };
    bed.told.set(&[ended]);
    assert_eq!(bed.renew().fresh, std::slice::from_ref(&root), "looked at when it ends");
    bed.told.set(&[]);
    assert_eq!(bed.renew().leaving, std::slice::from_ref(&root));
    assert!(bed.selection.role(&root).is_none());
    // Its reader opens what it was told of.
    assert_eq!(bed.selection.trees().find(&root.join("a.log")).unwrap().1, Path::new("/tmp/a.log"));
    bed.context(&root.join("a.log"));
}

#[test]
fn a_mount_that_may_not_be_read_is_refused_and_nothing_else_is() {
    let bed = Bed::new(&["/data/*.log", "/tmp/*.log", "/**/x.log"]);
    let mut container = bed.container("app", "1");
    let mut tree = (*container.tree).clone();
    tree.mounts[0].access = Access::None;
    container.tree = Arc::new(tree);
    bed.told.set(&[container]);
    let renewal = bed.renew();
    let refused: Vec<String> = renewal
        .refused
        .iter()
        .map(|(path, error)| format!("{}: {error}", path.display()))
        .collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(
        refused[0].starts_with("shop/web-0/app:/data: lies in what is mounted at /data"),
        "{refused:?}"
    );
    let want = [bed.path("1/upper"), bed.path("1/upper/tmp")];
    assert_eq!(sorted(bed.selection.roots()), want);
}

#[test]
fn a_thousand_containers_are_renewed_without_looking_at_any_twice() {
    use flow::{Clock, SystemClock};
    let bed = Bed::new(&["/var/log/app/*.log", "/data/*.log"]);
    let containers: Vec<Container> = (0..1000)
        .map(|number| {
            let mut container = bed.container("app", &number.to_string());
            container.pod.uid = format!("u{number}");
            let mut tree = (*container.tree).clone();
            tree.lowers = (0..8).map(|layer| bed.path(&format!("layer{layer}"))).collect();
            tree.mounts[0].host = bed.path(&format!("v{number}"));
            container.tree = Arc::new(tree);
            container
        })
        .collect();
    bed.told.set(&containers);
    assert_eq!(bed.renew().fresh.len(), 2000);
    let began_ns = SystemClock.monotonic_ns();
    assert!(bed.renew().fresh.is_empty());
    let took_us = (SystemClock.monotonic_ns() - began_ns) / 1000;
    println!("1000 containers, 9 layers, half of the folders not there: {took_us} us");
}
