//! Discovery over a real directory tree, without and with a watch.

use std::fs;
use std::time::Duration;

use crossbeam::channel::{Receiver, bounded};
use crossbeam::sync::Parker;
use flow::SystemClock;
use globset::GlobSet;

use super::*;
use crate::fs::{HostFs, Reach};
use crate::source::StartAt;
use crate::watch::InotifyWatch;

struct Bed {
    discovery: Discovery,
    commands: Receiver<Command>,
    parker: Parker,
    root: tempfile::TempDir,
}

fn options() -> Arc<SourceOptions> {
    Arc::new(SourceOptions {
        format: None,
        start_at: StartAt::Beginning,
        line_bytes_max: 1000,
        flush_timeout_ns: 0,
        multiline: None,
        late_writes_ns: 0,
        skip: flow::RecordFlags::NONE,
        linger_ns: 0,
    })
}

fn bed(selection: impl FnOnce(&Path) -> Selection, with_watch: bool) -> Bed {
    let root = tempfile::tempdir().unwrap();
    let (sender, commands) = bounded(1000);
    let parker = Parker::new();
    let door = ReaderDoor { commands: sender, unparker: Parker::new().unparker().clone() };
    let rule = Rule {
        name: Arc::from("test"),
        selection: selection(root.path()),
        tenants: TenantMap::default(),
        sink: 0,
        options: options(),
        fs: Arc::new(HostFs::new(Reach::own_trees(vec![root.path().to_path_buf()], Vec::new()))),
    };
    let clock = Arc::new(SystemClock);
    let watch = with_watch.then(|| {
        let watch = InotifyWatch::new(clock.clone(), parker.unparker().clone()).unwrap();
        Box::new(watch) as Box<dyn Watch>
    });
    let interval_ns = if with_watch { 3_600_000_000_000 } else { 0 };
    let place = Place { host: "host".to_owned(), ..Place::default() };
    let meter = Arc::new(Meter::default());
    let rules = vec![rule];
    let discovery = Discovery::new(clock, watch, rules, place, vec![door], meter, interval_ns);
    Bed { discovery, commands, parker, root }
}

fn files(root: &Path) -> Selection {
    let glob = format!("{}/*.log", root.display());
    Selection::Files(FileSelection::new(&[glob], GlobSet::empty()).unwrap())
}

fn pods(root: &Path) -> Selection {
    let all = NameFilter::default();
    let root = root.to_path_buf();
    Selection::Pods(PodSelection {
        root,
        namespaces: all.clone(),
        pods: all.clone(),
        containers: all,
    })
}

/// Names of the files of each look, and `poke`.
fn heard(bed: &Bed) -> Vec<Vec<String>> {
    let mut heard = Vec::new();
    for command in bed.commands.try_iter() {
        match command {
            Command::Look { files, .. } => heard.push(
                files
                    .iter()
                    .map(|it| it.path.file_name().unwrap().to_str().unwrap().to_owned())
                    .collect(),
            ),
            Command::Poke(_) => heard.push(vec!["poke".to_owned()]),
            Command::Missed(_) => heard.push(vec!["missed".to_owned()]),
            _ => unreachable!(),
        }
    }
    heard
}

#[test]
fn rotated_files_are_generations_of_the_live_one() {
    let mut bed = bed(files, false);
    let names =
        ["app.log", "app.log.1", "app.log.2", "app.log.2.gz", "app.log.3.gz", "app.log.4.gz.tmp"];
    for name in names.into_iter().chain(["other.log", "x.txt"]) {
        fs::write(bed.root.path().join(name), name).unwrap();
    }
    bed.discovery.tick();
    let mut looks = heard(&bed);
    looks.sort();
    assert_eq!(
        looks,
        [vec!["app.log.3.gz", "app.log.2", "app.log.1", "app.log"], vec!["other.log"]]
    );
    bed.discovery.tick();
    assert!(heard(&bed).is_empty(), "nothing changed, so nobody is told anything");
    fs::remove_file(bed.root.path().join("other.log")).unwrap();
    bed.discovery.tick();
    assert_eq!(heard(&bed), [Vec::<String>::new()]);
}

#[test]
fn containers_are_known_by_their_path() {
    let mut bed = bed(pods, false);
    let container = bed.root.path().join("shop_web-0_uid-1/nginx");
    fs::create_dir_all(&container).unwrap();
    for name in ["0.log", "0.log.20260101-000000", "1.log", "1.log.20260101-000000.gz", "junk"] {
        fs::write(container.join(name), name).unwrap();
    }
    bed.discovery.tick();
    let mut contexts = Vec::new();
    for command in bed.commands.try_iter() {
        let Command::Look { spec, files, .. } = command else { unreachable!() };
        contexts.push((spec.context.to_string(), spec.context.tenant.to_string(), files.len()));
    }
    let want = [("shop/web-0/nginx/0", 2), ("shop/web-0/nginx/1", 2)];
    let want = want.map(|(name, count)| (name.to_owned(), "shop".to_owned(), count));
    assert_eq!(contexts, want);
}

#[test]
fn a_watch_hears_of_a_new_directory_a_new_file_and_a_write() {
    let mut bed = bed(pods, true);
    bed.discovery.tick();
    let wait = |bed: &mut Bed, want: &[&str]| {
        for _ in 0..500 {
            bed.parker.park_timeout(Duration::from_millis(10));
            bed.discovery.tick();
            if heard(bed).iter().any(|it| it == want) {
                return;
            }
        }
        panic!("never heard of {want:?}");
    };
    let container = bed.root.path().join("shop_web-0_uid-1/nginx");
    fs::create_dir_all(&container).unwrap();
    fs::write(container.join("0.log"), "one\n").unwrap();
    wait(&mut bed, &["0.log"]);
    std::thread::sleep(Duration::from_millis(50));
    bed.discovery.tick();
    heard(&bed);
    let mut file = fs::OpenOptions::new().append(true).open(container.join("0.log")).unwrap();
    std::io::Write::write_all(&mut file, b"two\n").unwrap();
    wait(&mut bed, &["poke"]);
    fs::rename(container.join("0.log"), container.join("0.log.20260101-000000")).unwrap();
    fs::write(container.join("0.log"), "three\n").unwrap();
    wait(&mut bed, &["0.log.20260101-000000", "0.log"]);
    fs::remove_dir_all(container.parent().unwrap()).unwrap();
    wait(&mut bed, &[]);
}
