//! Scans in slices: what is heard, and other tenants, between two pieces of a scan of very many files.

use std::collections::HashMap;
use std::sync::Mutex;

use super::*;
use crate::test_clock::HandClock;
use crate::watch::WatchError;

/// What a call of the file system takes, in nanoseconds.
const CALL_NS: u64 = 100_000;

/// Nothing else takes time.
#[derive(Debug)]
struct SlowFs {
    host: Arc<dyn Fs>,
    clock: Arc<HandClock>,
}

impl Fs for SlowFs {
    fn list(&self, dir: &Path, each: &mut dyn FnMut(&OsStr)) -> std::io::Result<()> {
        self.clock.0.fetch_add(CALL_NS, Ordering::Relaxed);
        self.host.list(dir, each)
    }

    fn stat(&self, path: &Path) -> std::io::Result<crate::fs::Stat> {
        self.clock.0.fetch_add(CALL_NS, Ordering::Relaxed);
        self.host.stat(path)
    }

    fn open(&self, path: &Path) -> std::io::Result<Box<dyn crate::fs::LogFile>> {
        self.host.open(path)
    }
}

/// Hears what the test says.
#[derive(Debug, Default, Clone)]
struct Told(Arc<Mutex<Changes>>, Arc<HandClock>);

impl Watch for Told {
    fn add(&mut self, _directory: &Path) -> Result<(), WatchError> {
        Ok(())
    }

    fn remove(&mut self, _directory: &Path) {}

    fn take(&mut self) -> Changes {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A bed over pods of many files: of which tenant, with how many files each.
fn slow_bed(rules: impl FnOnce(&Path) -> Vec<Rule>, pods: &[(&str, usize)]) -> (Bed, Told) {
    let clock = Arc::new(HandClock::default());
    let slow = |rule: Rule| {
        let fs = SlowFs { host: Arc::clone(&rule.fs), clock: Arc::clone(&clock) };
        Rule { fs: Arc::new(fs), ..rule }
    };
    let rules = |root: &Path| rules(root).into_iter().map(slow).collect();
    let mut bed = bed_of_rules(rules, false, u64::MAX);
    let told = Told(Arc::default(), Arc::clone(&clock));
    bed.discovery.outlet.clock = clock;
    bed.discovery.outlet.watch = Some(Box::new(told.clone()));
    for (pod, files) in pods {
        write_files(&bed, pod, *files);
    }
    (bed, told)
}

fn write_files(bed: &Bed, pod: &str, files: usize) {
    let container = bed.root.path().join(pod).join("app");
    fs::create_dir_all(&container).unwrap();
    for file in 0..files {
        fs::write(container.join(format!("{file}.log")), "x\n").unwrap();
    }
}

fn all_pods(root: &Path) -> Vec<Rule> {
    vec![rule("all", pods(root), TenantMap::default(), root)]
}

/// Looks and pokes of the tenant's since the last time, and whose the looks of others were.
#[derive(Debug, Default)]
struct Heard {
    /// By namespace and rule.
    looks: HashMap<(String, String), usize>,
    initial: usize,
    pokes: usize,
}

impl Heard {
    fn add(&mut self, bed: &Bed) {
        for command in bed.commands.try_iter() {
            match command {
                Command::Look { spec, initial, .. } => {
                    let namespace = spec.context.text(flow::attribute::K8S_NAMESPACE_NAME);
                    let key = (namespace.unwrap().to_owned(), spec.rule.to_string());
                    *self.looks.entry(key).or_default() += 1;
                    self.initial += usize::from(initial.is_some());
                }
                Command::Poke { .. } => self.pokes += 1,
                other => panic!("{other:?}"),
            }
        }
    }

    fn of(&self, namespace: &str, rule: &str) -> usize {
        *self.looks.get(&(namespace.to_owned(), rule.to_owned())).unwrap_or(&0)
    }
}

/// A bed in which an aggressor has so many pods with a file each; after them by its name, a victim has one.
fn bed_with_many(rules: impl FnOnce(&Path) -> Vec<Rule>) -> (Bed, Told) {
    let many: Vec<String> = (0..MANY).map(|it| format!("aggressor_pod-{it}_{it}")).collect();
    let pods = many.iter().map(|it| (&**it, 1)).chain([("victim_pod_uid", 1)]);
    slow_bed(rules, &pods.collect::<Vec<_>>())
}

const MANY: usize = 300;

#[test]
fn a_write_is_passed_on_while_many_files_of_another_tenant_are_found_at_the_start() {
    let (mut bed, told) = bed_with_many(all_pods);
    let mut heard = Heard::default();
    for _ in 0..3 {
        assert_eq!(bed.discovery.tick(), Tick::Busy);
        heard.add(&bed);
    }
    assert_eq!(heard.of("victim", "all"), 1, "it was the last by its name: {heard:?}");
    let file = bed.root.path().join("victim_pod_uid/app/0.log");
    told.0.lock().unwrap().written.insert(file);
    assert_eq!(bed.discovery.tick(), Tick::Busy);
    heard.add(&bed);
    assert_eq!(heard.pokes, 1, "nothing was passed on before the end of the scan");
    assert!(heard.of("aggressor", "all") < MANY / 2, "{heard:?}");
    while bed.discovery.tick() == Tick::Busy {}
    heard.add(&bed);
    assert!(bed.discovery.has_scanned());
    let looks = [heard.of("aggressor", "all"), heard.of("victim", "all"), heard.initial];
    assert_eq!(looks, [MANY, 1, MANY + 1], "each once");
}

#[test]
fn what_comes_while_the_first_scan_goes_on_was_not_there_before() {
    let (mut bed, told) = bed_with_many(all_pods);
    assert_eq!(bed.discovery.tick(), Tick::Busy);
    write_files(&bed, "new_pod_uid", 1);
    told.0.lock().unwrap().named.insert(bed.root.path().join("new_pod_uid"));
    while bed.discovery.tick() == Tick::Busy {}
    let mut heard = Heard::default();
    heard.add(&bed);
    assert_eq!(
        (heard.of("new", "all"), heard.initial),
        (1, MANY + 1),
        "it is read from its beginning"
    );
}

#[test]
fn events_that_are_lost_while_a_scan_goes_on_have_everything_be_looked_at_once_more() {
    let (mut bed, told) = bed_with_many(all_pods);
    assert_eq!(bed.discovery.tick(), Tick::Busy);
    told.0.lock().unwrap().is_incomplete = true;
    while bed.discovery.tick() == Tick::Busy {}
    write_files(&bed, "unheard_pod_uid", 1);
    // Long before all directories are looked at again.
    told.1.0.fetch_add(30_000_000_000, Ordering::Relaxed);
    while bed.discovery.tick() == Tick::Busy {}
    let mut heard = Heard::default();
    heard.add(&bed);
    assert_eq!(heard.of("unheard", "all"), 1);
}

#[test]
fn what_is_created_in_a_directory_that_waits_to_be_looked_at_is_told_of_once() {
    let (mut bed, told) = bed_with_many(all_pods);
    assert_eq!(bed.discovery.tick(), Tick::Busy);
    // Its directory is known by name, and not looked at.
    let pod = bed.root.path().join(format!("aggressor_pod-{0}_{0}", MANY - 1));
    told.0.lock().unwrap().named.insert(pod);
    while bed.discovery.tick() == Tick::Busy {}
    let mut heard = Heard::default();
    heard.add(&bed);
    assert_eq!(heard.of("aggressor", "all"), MANY);
}

#[test]
fn of_two_log_configs_the_first_has_a_file_although_both_scan_in_turn() {
    let filter = |glob: &str| {
        let mut names = globset::GlobSetBuilder::new();
        names.add(globset::Glob::new(glob).unwrap());
        NameFilter { include: Arc::new(names.build().unwrap()), ..NameFilter::default() }
    };
    let rules = |root: &Path| {
        let of = |name: &str, namespaces: &str, names: &str| {
            let Selection::Pods(it) = pods(root) else { unreachable!() };
            let (namespaces, pods) = (filter(namespaces), filter(names));
            let pods = PodSelection { namespaces, pods, ..*it };
            rule(name, Selection::Pods(Box::new(pods)), TenantMap::default(), root)
        };
        // One of the first one's many pods, to which it comes late; and the victim's.
        vec![of("first", "aggressor", "*"), of("second", "*", "{pod,pod-299}")]
    };
    let (mut bed, _) = bed_with_many(rules);
    let mut heard = Heard::default();
    for _ in 0..20 {
        assert_eq!(bed.discovery.tick(), Tick::Busy);
        heard.add(&bed);
    }
    assert_eq!(heard.of("victim", "second"), 1, "it waits for no other tenant's: {heard:?}");
    assert!(heard.of("aggressor", "first") < MANY, "{heard:?}");
    while bed.discovery.tick() == Tick::Busy {}
    heard.add(&bed);
    assert_eq!((heard.of("aggressor", "first"), heard.of("aggressor", "second")), (MANY, 0));
}

#[test]
fn what_the_first_scan_found_is_of_the_start_also_if_it_is_heard_of_before_it_is_told() {
    let (mut bed, told) = slow_bed(all_pods, &[("shop_pod_uid", 200)]);
    let container = bed.root.path().join("shop_pod_uid/app");
    assert_eq!(bed.discovery.tick(), Tick::Busy);
    let mut heard = Heard::default();
    while heard.of("shop", "all") == 0 {
        assert_eq!(bed.discovery.tick(), Tick::Busy);
        heard.add(&bed);
    }
    fs::write(container.join("999.log"), "x\n").unwrap();
    let named = (0..200).map(|it| container.join(format!("{it}.log")));
    told.0.lock().unwrap().named.extend(named.chain([container.join("999.log")]));
    while bed.discovery.tick() == Tick::Busy {}
    heard.add(&bed);
    let looks = (heard.of("shop", "all"), heard.initial);
    assert_eq!(looks, (201, 200), "the new one alone is read whole");
}

/// Discovery waited until its reader had taken the first tenant's files.
#[test]
fn while_a_reader_begins_with_many_files_another_tenant_is_told_of() {
    const FILES: usize = 2000;
    let pods = [("aggressor_pod_uid", FILES), ("victim_pod_uid", 1)];
    let (mut bed, told) = slow_bed(all_pods, &pods);
    while bed.discovery.tick() == Tick::Busy {}
    assert!(!bed.discovery.has_scanned(), "the reader is waited for");
    let file = bed.root.path().join("victim_pod_uid/app/0.log");
    told.0.lock().unwrap().written.insert(file);
    bed.discovery.tick();
    let mut heard = Heard::default();
    heard.add(&bed);
    assert_eq!((heard.of("victim", "all"), heard.pokes), (1, 1));
    assert!(heard.of("aggressor", "all") < 600, "{heard:?}");
    while !bed.discovery.has_scanned() {
        bed.discovery.tick();
        heard.add(&bed);
    }
    assert_eq!((heard.of("aggressor", "all"), heard.initial), (FILES, FILES + 1), "each once");
}
