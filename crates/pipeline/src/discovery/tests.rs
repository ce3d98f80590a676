//! Discovery over a real directory tree, without and with a watch.

use std::fs;
use std::time::Duration;

use crossbeam::channel::{Receiver, bounded};
use crossbeam::sync::Parker;
use flow::{Clock, ContextId, SystemClock};
use globset::GlobSet;

use super::timetable::Scan;
use super::*;
use crate::fs::{HostFs, Reach};
use crate::reader::DiscoveryDoor;
use crate::source::{SeenFile, SourceSpec, StartAt};
use crate::watch::InotifyWatch;

mod show;
mod slices;
mod waiting;

/// How long a watch may take to tell, on however busy a machine, in nanoseconds.
const TOLD_WITHIN_NS: u64 = 60_000_000_000;

/// Time that stands still: the next scan is due as soon as the last one is over, however long that took.
#[derive(Debug)]
struct StillClock;

impl Clock for StillClock {
    fn monotonic_ns(&self) -> u64 {
        1_000_000_000
    }

    fn unix_ns(&self) -> i64 {
        SystemClock.unix_ns()
    }
}

impl Discovery {
    /// A whole scan.
    fn scan(&mut self, scan: Scan) {
        self.begin_scan(scan);
        while self.scan_on() == scan::Progress::Some {}
    }
}

struct Bed {
    discovery: Discovery,
    commands: Receiver<Command>,
    ask_door: DiscoveryDoor,
    parker: Parker,
    root: tempfile::TempDir,
}

impl Bed {
    /// Waits until it is so, which is asked each time that the watch may have something to tell.
    fn comes(&mut self, mut is_so: impl FnMut(&mut Bed) -> bool) -> bool {
        let end_ns = SystemClock.monotonic_ns() + TOLD_WITHIN_NS;
        while SystemClock.monotonic_ns() < end_ns {
            self.parker.park_timeout(Duration::from_millis(10));
            if is_so(self) {
                return true;
            }
        }
        false
    }

    /// Ticks for so many milliseconds; whether one of the looks is this one.
    fn hears_within(&mut self, want: &[&str], for_ms: u64) -> bool {
        let end_ns = SystemClock.monotonic_ns() + for_ms * 1_000_000;
        let mut hears = false;
        self.comes(|bed| {
            bed.discovery.tick();
            hears |= heard(bed).iter().any(|it| it == want);
            SystemClock.monotonic_ns() >= end_ns
        });
        hears
    }

    /// Ticks until one of the looks is this one.
    fn hears(&mut self, want: &[&str]) -> bool {
        self.comes(|bed| {
            bed.discovery.tick();
            heard(bed).iter().any(|it| it == want)
        })
    }
}

fn options() -> Arc<SourceOptions> {
    Arc::new(SourceOptions {
        format: None,
        start_at: StartAt::Beginning,
        line_bytes_max: 1000,
        flush_timeout_ns: 0,
        multiline: None,
        late_writes_ns: 0,
        sample_one_in: None,
        skip: flow::RecordFlags::NONE,
        linger_ns: 0,
    })
}

fn bed(selection: impl FnOnce(&Path) -> Selection, with_watch: bool) -> Bed {
    bed_of(selection, TenantMap::default(), with_watch)
}

fn bed_of(selection: impl FnOnce(&Path) -> Selection, tenants: TenantMap, with_watch: bool) -> Bed {
    bed_that_opens(selection, tenants, with_watch, u64::MAX)
}

fn bed_that_opens(
    selection: impl FnOnce(&Path) -> Selection,
    tenants: TenantMap,
    with_watch: bool,
    open_files_max: u64,
) -> Bed {
    let rules = |root: &Path| vec![rule("test", selection(root), tenants, root)];
    bed_of_rules(rules, with_watch, open_files_max)
}

fn rule(name: &str, selection: Selection, tenants: TenantMap, root: &Path) -> Rule {
    Rule {
        name: Arc::from(name),
        selection,
        tenants,
        sink: 0,
        topic: None,
        options: options(),
        fs: Arc::new(HostFs::new(Reach::own_trees(vec![root.to_path_buf()], Vec::new()))),
    }
}

fn bed_of_rules(
    rules: impl FnOnce(&Path) -> Vec<Rule>,
    with_watch: bool,
    open_files_max: u64,
) -> Bed {
    let root = tempfile::tempdir().unwrap();
    let (sender, commands) = bounded(1000);
    let parker = Parker::new();
    let door = ReaderDoor { commands: sender, unparker: Parker::new().unparker().clone() };
    let rules = rules(root.path());
    let watch = with_watch.then(|| {
        let watch = InotifyWatch::new(Arc::new(SystemClock), parker.unparker().clone());
        Box::new(watch) as Box<dyn Watch>
    });
    let interval_ns = if with_watch { 3_600_000_000_000 } else { 0 };
    let place = Place { host: "host".to_owned(), ..Place::default() };
    let meter = Arc::new(Meter::default());
    let (ask_door, asks) = DiscoveryDoor::new(parker.unparker().clone());
    let discovery = Discovery::new(DiscoveryParts {
        clock: Arc::new(StillClock),
        watch,
        rules,
        place,
        readers: vec![door],
        asks,
        meter,
        scan_interval_ns: interval_ns,
        open_files_max,
    });
    Bed { discovery, commands, ask_door, parker, root }
}

fn files(root: &Path) -> Selection {
    let glob = format!("{}/*.log", root.display());
    Selection::Files(FileSelection::new(&[glob], GlobSet::empty()).unwrap())
}

fn pods(root: &Path) -> Selection {
    let all = NameFilter::default();
    let root = root.to_path_buf();
    Selection::Pods(Box::new(PodSelection {
        root,
        namespaces: all.clone(),
        pods: all.clone(),
        containers: all,
        facts: None,
    }))
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
            Command::Poke { .. } => heard.push(vec!["poke".to_owned()]),
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
    bed.discovery.scan(Scan::Polled);
    assert!(heard(&bed).is_empty(), "nothing changed, so nobody is told anything");
    fs::remove_file(bed.root.path().join("other.log")).unwrap();
    bed.discovery.scan(Scan::Polled);
    assert_eq!(heard(&bed), [Vec::<String>::new()]);
}

/// Somebody says stop while this is listed.
#[derive(Debug)]
struct StopsWhenListed {
    fs: Arc<dyn Fs>,
    stop: Arc<AtomicBool>,
}

impl Fs for StopsWhenListed {
    fn list(&self, directory: &Path, each: &mut dyn FnMut(&OsStr)) -> std::io::Result<()> {
        self.stop.store(true, Ordering::Release);
        self.fs.list(directory, each)
    }

    fn stat(&self, path: &Path) -> std::io::Result<crate::fs::Stat> {
        self.fs.stat(path)
    }

    fn open(&self, path: &Path) -> std::io::Result<Box<dyn crate::fs::LogFile>> {
        self.fs.open(path)
    }
}

#[test]
fn who_says_stop_waits_for_one_log_config_and_not_for_all() {
    let stop = Arc::new(AtomicBool::new(false));
    let rules = |root: &Path| {
        let text = format!("{}/*.txt", root.display());
        let text = Selection::Files(FileSelection::new(&[text], GlobSet::empty()).unwrap());
        let first = rule("a", files(root), TenantMap::default(), root);
        let fs = Arc::new(StopsWhenListed { fs: Arc::clone(&first.fs), stop: Arc::clone(&stop) });
        vec![Rule { fs, ..first }, rule("b", text, TenantMap::default(), root)]
    };
    let Bed { discovery, commands, root, .. } = bed_of_rules(rules, false, u64::MAX);
    for name in ["app.log", "app.txt"] {
        fs::write(root.path().join(name), name).unwrap();
    }
    discovery.until(stop).tick();
    let looks = commands.try_iter().map(|it| match it {
        Command::Look { spec, .. } => spec.rule.to_string(),
        other => panic!("{other:?}"),
    });
    assert_eq!(looks.collect::<Vec<_>>(), ["a"]);
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
        assert!(bed.hears(want), "never heard of {want:?}");
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

/// The host's file system, and what was asked of it.
#[derive(Debug)]
struct CountingFs {
    host: Arc<dyn Fs>,
    asked: std::sync::atomic::AtomicU64,
}

impl CountingFs {
    fn asked(&self) -> u64 {
        self.asked.swap(0, std::sync::atomic::Ordering::Relaxed)
    }

    fn count(&self) {
        self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Fs for CountingFs {
    fn list(&self, dir: &Path, each: &mut dyn FnMut(&OsStr)) -> std::io::Result<()> {
        self.host.list(dir, &mut |name| {
            self.count();
            each(name);
        })
    }

    fn stat(&self, path: &Path) -> std::io::Result<crate::fs::Stat> {
        self.count();
        self.host.stat(path)
    }

    fn open(&self, path: &Path) -> std::io::Result<Box<dyn crate::fs::LogFile>> {
        self.host.open(path)
    }
}

/// What one change costs among so many files and directories, in calls of the file system.
fn cost_of_changes(count: usize) -> Vec<u64> {
    let mut bed = bed(pods, true);
    let fs = &mut bed.discovery.rules[0].fs;
    let asked = Arc::new(CountingFs { host: Arc::clone(fs), asked: 0.into() });
    *fs = asked.clone();
    let container = bed.root.path().join("shop_web-0_uid-1/nginx");
    fs::create_dir_all(&container).unwrap();
    for number in 0..count {
        fs::write(container.join(format!("{number}.log")), "one\n").unwrap();
        fs::create_dir_all(bed.root.path().join(format!("shop_pod-{number}_uid/a"))).unwrap();
    }
    let mut looks = 0;
    while looks < count {
        bed.discovery.tick();
        looks += heard(&bed).len();
    }
    let new_pod = bed.root.path().join("shop_new_uid/nginx");
    let rename = |from: &str, to: &str| fs::rename(container.join(from), container.join(to));
    let append = |name: &str| {
        let mut file = fs::OpenOptions::new().append(true).open(container.join(name)).unwrap();
        std::io::Write::write_all(&mut file, b"two\n").unwrap();
    };
    let steps: [(&dyn Fn(), &[&str]); 5] = [
        (&|| append("7.log"), &["poke"]),
        (&|| rename("7.log", "7.log.20260101-000000").unwrap(), &["7.log.20260101-000000"]),
        (
            &|| fs::write(container.join("7.log"), "three\n").unwrap(),
            &["7.log.20260101-000000", "7.log"],
        ),
        (&|| fs::remove_file(container.join("8.log")).unwrap(), &[]),
        (
            &|| {
                fs::create_dir_all(&new_pod).unwrap();
                fs::write(new_pod.join("0.log"), "new\n").unwrap();
            },
            &["0.log"],
        ),
    ];
    asked.asked();
    steps
        .map(|(step, want)| {
            step();
            assert!(bed.hears(want), "never heard of {want:?}");
            asked.asked()
        })
        .to_vec()
}

#[test]
fn a12_a_change_costs_the_same_among_ten_files_and_among_a_thousand() {
    let (few, many) = (cost_of_changes(10), cost_of_changes(1000));
    // The numbers of calls vary with what is heard together; they do not grow with the files.
    assert!(few.iter().chain(&many).all(|it| *it <= 40), "{few:?} {many:?}");
}

#[test]
fn c11_a_directory_that_cannot_be_watched_is_polled_and_watched_again_when_possible() {
    #[derive(Debug)]
    struct Limited {
        inner: InotifyWatch,
        is_full: Arc<std::sync::atomic::AtomicBool>,
    }
    impl Watch for Limited {
        fn add(&mut self, directory: &Path) -> Result<(), crate::watch::WatchError> {
            let is_full = self.is_full.load(std::sync::atomic::Ordering::Relaxed);
            // What is not there cannot be watched either.
            self.inner.add(if is_full { Path::new("/nowhere") } else { directory })
        }
        fn remove(&mut self, directory: &Path) {
            self.inner.remove(directory);
        }
        fn take(&mut self) -> Changes {
            self.inner.take()
        }
    }
    let mut bed = bed(pods, false);
    let is_full = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let inner = InotifyWatch::new(Arc::new(SystemClock), bed.parker.unparker().clone());
    bed.discovery.outlet.watch = Some(Box::new(Limited { inner, is_full: is_full.clone() }));
    let container = bed.root.path().join("shop_web-0_uid-1/nginx");
    fs::create_dir_all(&container).unwrap();
    fs::write(container.join("0.log"), "one\n").unwrap();
    bed.discovery.tick();
    assert_eq!(heard(&bed), [["0.log"]]);
    let unwatched = |bed: &Bed| bed.discovery.outlet.meter.unwatched_directories.get();
    assert_eq!(unwatched(&bed), 3, "root, pod and container");
    fs::write(container.join("1.log"), "polled\n").unwrap();
    bed.discovery.scan(Scan::Polled);
    assert_eq!(heard(&bed), [["1.log"]], "found by polling");
    is_full.store(false, std::sync::atomic::Ordering::Relaxed);
    bed.discovery.timetable.forget_retry();
    bed.discovery.tick();
    assert_eq!(unwatched(&bed), 0);
    fs::write(container.join("2.log"), "watched\n").unwrap();
    let is_heard = bed.comes(|bed| {
        let changes = bed.discovery.outlet.watch.as_mut().unwrap().take();
        bed.discovery.hear(&changes, &[]);
        heard(bed).iter().any(|it| it == &["2.log"])
    });
    assert!(is_heard, "never heard of 2.log");
}

#[test]
fn c11_lost_events_are_made_good_by_looking_at_everything() {
    #[derive(Debug)]
    struct Lossy;
    impl Watch for Lossy {
        fn add(&mut self, _directory: &Path) -> Result<(), crate::watch::WatchError> {
            Ok(())
        }
        fn remove(&mut self, _directory: &Path) {}
        fn take(&mut self) -> Changes {
            Changes { is_incomplete: true, ..Changes::default() }
        }
    }
    let mut bed = bed(files, true);
    bed.discovery.outlet.watch = Some(Box::new(Lossy));
    fs::write(bed.root.path().join("a.log"), "one\n").unwrap();
    bed.discovery.tick();
    assert_eq!(heard(&bed), [["a.log"]]);
    fs::write(bed.root.path().join("a.log"), "one and more\n").unwrap();
    fs::write(bed.root.path().join("b.log"), "new\n").unwrap();
    bed.discovery.tick();
    let mut looks = heard(&bed);
    looks.sort();
    assert_eq!(looks, [["a.log"], ["b.log"]]);
    assert_eq!(bed.discovery.outlet.meter.watch_overflows.get(), 2);
}

#[test]
fn a11_a_renamed_directory_is_another_place_and_is_still_watched() {
    let mut bed = bed(pods, true);
    let (one, other) = ("shop_web-0_uid-1", "shop_web-0_uid-2");
    fs::create_dir_all(bed.root.path().join(one).join("nginx")).unwrap();
    fs::write(bed.root.path().join(one).join("nginx/0.log"), "one\n").unwrap();
    bed.discovery.tick();
    assert_eq!(heard(&bed), [["0.log"]]);
    fs::rename(bed.root.path().join(one), bed.root.path().join(other)).unwrap();
    let mut looks = Vec::new();
    bed.comes(|bed| {
        bed.discovery.tick();
        looks.extend(heard(bed));
        looks.len() >= 2
    });
    looks.sort();
    assert_eq!(looks, [vec![], vec!["0.log".to_owned()]], "one is gone, the other is there");
    let path = bed.root.path().join(other).join("nginx/0.log");
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    std::io::Write::write_all(&mut file, b"two\n").unwrap();
    assert!(bed.hears(&["poke"]), "the renamed directory is not watched");
}

#[test]
fn a_chain_that_is_asked_for_is_told_again_and_no_other() {
    let mut bed = bed(files, true);
    for name in ["a.log", "a.log.1", "b.log"] {
        fs::write(bed.root.path().join(name), name).unwrap();
    }
    bed.discovery.tick();
    assert_eq!(heard(&bed).len(), 2);
    bed.ask_door.ask(Ask::Look(bed.root.path().join("a.log.1")));
    bed.ask_door.ask(Ask::Look(bed.root.path().join("unknown.log")));
    bed.discovery.tick();
    assert_eq!(heard(&bed), [["a.log.1", "a.log"]]);
    bed.discovery.tick();
    assert_eq!(heard(&bed), Vec::<Vec<String>>::new());
}

#[test]
fn a_name_that_leads_to_another_file_has_the_others_looked_for() {
    let mut bed = bed(files, true);
    let (live, rotated) = (bed.root.path().join("a.log"), bed.root.path().join("a.log.1"));
    fs::write(&live, "one").unwrap();
    bed.discovery.tick();
    assert_eq!(heard(&bed), [["a.log"]]);
    // Of all that happens only one name is heard of.
    bed.discovery.outlet.watch = None;
    fs::rename(&live, rotated).unwrap();
    fs::write(&live, "two").unwrap();
    bed.ask_door.ask(Ask::Look(live));
    bed.discovery.tick();
    assert_eq!(heard(&bed), [["a.log.1", "a.log"]]);
}

#[test]
fn pods_whose_tenant_may_not_use_the_sink_are_counted_and_not_read() {
    let namespaces = |it: &str| {
        let glob = globset::Glob::new(it).unwrap();
        Arc::new(globset::GlobSetBuilder::new().add(glob).build().unwrap())
    };
    let tenants = TenantMap {
        fixed: None,
        by_namespace: vec![
            (namespaces("shop-*"), Arc::from("shop")),
            (namespaces("bank-*"), Arc::from("bank")),
        ],
        by_labels: None,
        listed: [Arc::from("shop"), Arc::from("bank")].into(),
        barred: [Arc::from("bank")].into(),
    };
    let mut bed = bed_of(pods, tenants, true);
    let write = |namespace: &str| {
        let folder = bed.root.path().join(format!("{namespace}_pod_{namespace}-uid/app"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("0.log"), "line\n").unwrap();
    };
    // Of shop, of bank, of nobody since it only has the name of a tenant, and of itself.
    ["shop-eu", "bank-eu", "shop", "else"].into_iter().for_each(write);
    bed.discovery.tick();
    let mut tenants: Vec<(String, String)> = Vec::new();
    for command in bed.commands.try_iter() {
        let Command::Look { spec, .. } = command else { panic!("{command:?}") };
        let namespace = spec.context.text(flow::attribute::K8S_NAMESPACE_NAME).unwrap();
        tenants.push((namespace.to_owned(), spec.context.tenant.to_string()));
    }
    tenants.sort();
    let told = [("else", "else"), ("shop-eu", "shop")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(tenants, told);
    assert_eq!(bed.discovery.outlet.meter.denied_pods.get(), 2);
    assert_eq!(bed.discovery.outlet.meter.refused_paths.get(), 0);
    // One that comes later is no better.
    write("bank-us");
    assert!(bed.comes(|bed| {
        bed.discovery.tick();
        bed.discovery.outlet.meter.denied_pods.get() == 3
    }));
    assert!(bed.commands.try_iter().next().is_none());
}

/// Facts that a test writes: labels by uid.
#[derive(Debug, Default)]
struct Labels(std::sync::Mutex<(u64, std::collections::BTreeMap<String, String>)>);

impl Labels {
    fn tell(&self, uid: &str, app: &str) {
        let mut labels = self.0.lock().unwrap();
        labels.0 += 1;
        labels.1.insert(uid.to_owned(), app.to_owned());
    }
}

impl PodFacts for Labels {
    fn version(&self) -> u64 {
        self.0.lock().unwrap().0
    }

    fn selects(&self, pod: &PodPath, _: Option<&str>) -> Option<bool> {
        self.0.lock().unwrap().1.get(&pod.uid).map(|app| app == "web")
    }

    fn asked(&self) -> Asked {
        Asked::OfPods
    }

    fn attributes(&self, pod: &PodPath) -> Vec<flow::Attribute> {
        let app = self.0.lock().unwrap().1.get(&pod.uid).cloned();
        app.into_iter().map(|app| flow::Attribute::text("k8s.pod.label.app", app)).collect()
    }
}

/// A bed whose pods are selected by facts.
fn bed_with_facts(with_watch: bool) -> (Arc<Labels>, Bed) {
    let labels = Arc::new(Labels::default());
    let facts = Arc::clone(&labels);
    let selection = move |root: &Path| {
        let Selection::Pods(it) = pods(root) else { unreachable!() };
        Selection::Pods(Box::new(PodSelection { facts: Some(facts), ..*it }))
    };
    (labels, bed(selection, with_watch))
}

fn write_log(bed: &Bed, pod: &str) {
    let container = bed.root.path().join(pod).join("app");
    fs::create_dir_all(&container).unwrap();
    fs::write(container.join("0.log"), "one\n").unwrap();
}

#[test]
fn a_pod_waits_for_its_facts_and_is_found_as_soon_as_they_are_there() {
    for with_watch in [false, true] {
        let (labels, mut bed) = bed_with_facts(with_watch);
        write_log(&bed, "shop_web-0_1");
        write_log(&bed, "shop_db-0_2");
        bed.discovery.tick();
        assert!(heard(&bed).is_empty(), "nobody knows whether they are selected");
        labels.tell("2", "db");
        bed.discovery.tick();
        assert!(heard(&bed).is_empty(), "it is not selected");
        labels.tell("1", "web");
        bed.discovery.tick();
        let looks: Vec<Command> = bed.commands.try_iter().collect();
        let [Command::Look { spec, files, .. }] = &looks[..] else { panic!("{looks:?}") };
        assert_eq!((files.len(), spec.options.start_at), (1, StartAt::Beginning));
        let app = spec.context.attributes.iter().find(|it| it.key == "k8s.pod.label.app");
        assert_eq!(app.map(|it| it.value.to_string()), Some("web".to_owned()));
    }
}

#[test]
fn a_name_used_again_is_not_selected_by_what_the_first_pod_was() {
    let (labels, mut bed) = bed_with_facts(false);
    write_log(&bed, "shop_web-0_1");
    labels.tell("1", "web");
    bed.discovery.tick();
    assert_eq!(heard(&bed).len(), 1);
    write_log(&bed, "shop_web-0_2");
    bed.discovery.tick();
    assert!(heard(&bed).is_empty(), "of this pod nothing is known yet");
    labels.tell("2", "db");
    bed.discovery.tick();
    assert!(heard(&bed).is_empty());
}

#[test]
fn a_pod_that_is_no_longer_selected_is_let_go() {
    let (labels, mut bed) = bed_with_facts(false);
    write_log(&bed, "shop_web-0_1");
    labels.tell("1", "web");
    bed.discovery.tick();
    assert_eq!(heard(&bed), [["0.log"]]);
    labels.tell("1", "db");
    bed.discovery.tick();
    assert_eq!(heard(&bed), [Vec::<String>::new()], "its reader hears that no file is left for it");
}

/// A rule `by-labels`, and after it `by-names`, which selects all.
fn bed_with_two_rules(with_watch: bool) -> (Arc<Labels>, Bed) {
    let labels = Arc::new(Labels::default());
    let facts = Arc::clone(&labels);
    let rules = move |root: &Path| {
        let Selection::Pods(it) = pods(root) else { unreachable!() };
        let by_labels = Selection::Pods(Box::new(PodSelection { facts: Some(facts), ..*it }));
        vec![
            rule("by-labels", by_labels, TenantMap::default(), root),
            rule("by-names", pods(root), TenantMap::default(), root),
        ]
    };
    (labels, bed_of_rules(rules, with_watch, u64::MAX))
}

fn looks(bed: &Bed) -> Vec<String> {
    let look = |command: Command| match command {
        Command::Look { spec, files, .. } => format!("{} {}", spec.rule, files.len()),
        other => panic!("{other:?}"),
    };
    bed.commands.try_iter().map(look).collect()
}

#[test]
fn a_pod_is_not_lost_to_a_later_rule_while_its_labels_are_not_known() {
    for with_watch in [false, true] {
        let (labels, mut bed) = bed_with_two_rules(with_watch);
        write_log(&bed, "shop_web-0_1");
        bed.discovery.tick();
        assert!(looks(&bed).is_empty(), "whose it is depends on what is not known");
        assert_eq!(bed.discovery.outlet.meter.waiting_pods.get(), 1, "it waits for one rule");
        labels.tell("1", "web");
        bed.discovery.tick();
        assert_eq!(looks(&bed), ["by-labels 1"]);
        assert_eq!(bed.discovery.outlet.meter.waiting_pods.get(), 0);
        // Of what is known before it is found nobody waits.
        labels.tell("2", "db");
        write_log(&bed, "shop_db-0_2");
        let mut looked = Vec::new();
        bed.comes(|bed| {
            bed.discovery.tick();
            looked = looks(bed);
            !looked.is_empty()
        });
        assert_eq!(looked, ["by-names 1"]);
    }
}

#[test]
fn a_new_pod_that_waits_is_found_by_the_later_rule_as_soon_as_it_may() {
    let (labels, mut bed) = bed_with_two_rules(true);
    bed.discovery.tick();
    write_log(&bed, "shop_db-0_2");
    assert!(bed.comes(|bed| {
        bed.discovery.tick();
        bed.discovery.outlet.meter.waiting_pods.get() == 1
    }));
    assert!(looks(&bed).is_empty());
    labels.tell("2", "db");
    bed.discovery.tick();
    assert_eq!(looks(&bed), ["by-names 1"]);
}

#[test]
fn a7_a_link_that_comes_between_two_scans_brings_the_next_one_forward() {
    for is_dangling in [false, true] {
        let mut bed = bed(files, true);
        fs::create_dir(bed.root.path().join("targets")).unwrap();
        let target = bed.root.path().join("targets/app");
        if !is_dangling {
            fs::write(&target, "a line\n").unwrap();
        }
        bed.discovery.tick();
        assert!(bed.discovery.timetable.is_heard);
        std::os::unix::fs::symlink(&target, bed.root.path().join("app.log")).unwrap();
        let is_noticed = bed.comes(|bed| {
            bed.discovery.tick();
            !bed.discovery.timetable.is_heard
        });
        assert!(is_noticed, "dangling: {is_dangling}");
        // The file comes, of which nothing is heard.
        fs::write(&target, "a line\nand one more\n").unwrap();
        bed.discovery.scan(Scan::Files);
        assert_eq!(heard(&bed).last().unwrap(), &["app.log"]);
    }
}

#[test]
fn files_on_the_way_to_their_readers_are_no_more_than_may_be_open() {
    let mut bed = bed_that_opens(files, TenantMap::default(), false, 10);
    bed.discovery.tick();
    for number in 0..30 {
        let name = bed.root.path().join(format!("new-{number}.log"));
        fs::write(&name, "x\n").unwrap();
        fs::write(name.with_extension("log.1"), "x\n").unwrap();
    }
    bed.discovery.tick();
    let open = |commands: &[Command]| -> usize {
        let opened = |it: &Command| match it {
            Command::Look { opened, .. } => opened.len(),
            _ => 0,
        };
        commands.iter().map(opened).sum()
    };
    let commands: Vec<Command> = bed.commands.try_iter().collect();
    assert_eq!((commands.len(), open(&commands)), (30, 10), "however many wait");
    assert_eq!(bed.discovery.outlet.on_the_way.get(), 10);
    // Whoever has them counts them; and who is gone holds none.
    drop(commands);
    assert_eq!(bed.discovery.outlet.on_the_way.get(), 0);
}

/// Tenants of namespaces by labels that a test tells.
#[derive(Debug, Default)]
struct ByLabels(std::sync::Mutex<(u64, std::collections::BTreeMap<String, Labelled>)>);

impl ByLabels {
    fn tell(&self, namespace: &str, owner: Labelled) {
        let mut told = self.0.lock().unwrap();
        told.0 += 1;
        told.1.insert(namespace.to_owned(), owner);
    }
}

impl NamespaceTenants for ByLabels {
    fn version(&self) -> u64 {
        self.0.lock().unwrap().0
    }

    fn of(&self, namespace: &str) -> Labelled {
        self.0.lock().unwrap().1.get(namespace).cloned().unwrap_or(Labelled::Unknown)
    }
}

#[test]
fn no_tenant_is_guessed_before_labels_are_known() {
    for with_watch in [false, true] {
        let labels = Arc::new(ByLabels::default());
        let tenants = TenantMap { by_labels: Some(labels.clone()), ..TenantMap::default() };
        let mut bed = bed_of(pods, tenants, with_watch);
        write_log(&bed, "shop_web-0_1");
        bed.discovery.tick();
        assert!(heard(&bed).is_empty(), "it may be anybody's");
        assert_eq!(bed.discovery.outlet.meter.waiting_pods.get(), 1);
        labels.tell("shop", Labelled::Of(Arc::from("team-a")));
        bed.discovery.tick();
        let looks: Vec<Command> = bed.commands.try_iter().collect();
        let [Command::Look { spec, .. }] = &looks[..] else { panic!("{looks:?}") };
        assert_eq!(&*spec.context.tenant, "team-a");
        // What is begun goes on to the same tenant, whatever is told meanwhile; and ends there.
        labels.tell("shop", Labelled::Of(Arc::from("team-b")));
        fs::remove_dir_all(bed.root.path().join("shop_web-0_1")).unwrap();
        let mut ended = None;
        bed.comes(|bed| {
            bed.discovery.tick();
            ended = bed.commands.try_iter().find_map(|it| match it {
                Command::Look { spec, files, .. } if files.is_empty() => {
                    Some(spec.context.tenant.clone())
                }
                _ => None,
            });
            ended.is_some()
        });
        assert_eq!(ended.as_deref(), Some("team-a"));
        write_log(&bed, "bank_web-0_2");
        let (one, other) = (Arc::from("team-a"), Arc::from("team-b"));
        labels.tell("bank", Labelled::Contested(one, other));
        assert!(bed.comes(|bed| {
            bed.discovery.tick();
            bed.discovery.outlet.meter.denied_pods.get() == 1
        }));
        assert!(heard(&bed).is_empty());
    }
}

#[test]
fn a_live_file_that_is_rotated_and_removed_between_two_looks_stands_for_its_last_name() {
    let mut bed = bed(files, false);
    let (live, rotated) =
        (bed.root.path().join("app.log"), bed.root.path().join("app.log.20260102-000001"));
    fs::write(&live, "one\n").unwrap();
    bed.discovery.tick();
    assert_eq!(heard(&bed), [["app.log"]]);
    // Its reader has it open, and its writer went on in it.
    fs::rename(&live, &rotated).unwrap();
    fs::remove_file(&rotated).unwrap();
    let changes = Changes {
        written: [rotated.clone()].into(),
        named: [live.clone(), rotated.clone()].into(),
        removed: [rotated].into(),
        ..Changes::default()
    };
    bed.discovery.hear(&changes, &[]);
    let none: &[&str] = &[];
    assert_eq!(heard(&bed), [&["poke"], none], "it is gone, and no other was missed");
}

#[test]
fn a_generation_that_came_and_went_between_two_looks_is_missed_once() {
    let mut bed = bed(files, false);
    let (live, rotated) =
        (bed.root.path().join("app.log"), bed.root.path().join("app.log.20260102-000001"));
    fs::write(&live, "one\n").unwrap();
    bed.discovery.tick();
    heard(&bed);
    let changes = Changes {
        written: [rotated.clone()].into(),
        named: [rotated.clone()].into(),
        removed: [rotated].into(),
        ..Changes::default()
    };
    bed.discovery.hear(&changes, &[]);
    let missed = heard(&bed).iter().filter(|it| *it == &["missed"]).count();
    assert_eq!(missed, 1);
}
