//! What waits, since there is no memory to know it by.

use flow::Position;

use super::*;
use crate::checkpoint::Entry;
use crate::discovery::standing::{DIRECTORY_BYTES, chain_bytes};
use crate::memory::Memory;
use crate::source::Known;

/// A bed whose one tenant may know so many chains in one directory; others as many.
fn short_bed(
    selection: impl FnOnce(&Path) -> Selection,
    with_watch: bool,
    bytes: usize,
    begun: impl FnOnce(&Path) -> Vec<ContextId>,
) -> Bed {
    let mut bed = bed_that_opens(selection, TenantMap::default(), with_watch, 0);
    let entry = |context| {
        let generations = vec![Position::default()];
        Entry::new(context, Known { generations, ..Known::new(1) })
    };
    let entries = begun(bed.root.path()).into_iter().map(entry).collect();
    let memory = Arc::new(Memory::new(entries, false, Vec::new()));
    let room = Some(KnownRoom { beside_bytes: 2 * bytes, memory });
    bed.discovery = bed.discovery.standing_in(NodeBudget::new(0), room);
    bed
}

/// Of a temporary folder, and a name of a few bytes.
const CHAIN_BYTES: usize = chain_bytes(22);

fn chains(count: usize) -> usize {
    // And less than another one.
    DIRECTORY_BYTES + count * CHAIN_BYTES + CHAIN_BYTES / 4
}

impl Bed {
    fn write(&self, name: &str) {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x\n").unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.root.path().join(name)).unwrap();
    }

    fn waiting(&self, tenant: &str) -> u64 {
        self.discovery.outlet.meter.tenant(&Arc::from(tenant)).waiting_files.get()
    }

    /// Scans what nothing tells about.
    fn poll(&mut self) {
        self.discovery.scan(Scan::Polled);
        self.discovery.count();
    }

    /// The looks of a poll, each name for itself.
    fn polled(&mut self) -> Vec<String> {
        self.poll();
        let mut names = heard(self).concat();
        names.sort();
        names
    }
}

/// What the name of a chain took was not given back if somebody who was shown the chain found it gone.
#[test]
fn a_chain_that_is_found_gone_as_it_is_shown_is_paid_for_no_more() {
    let name = format!("{}.log", "a".repeat(200));
    let mut bed = short_bed(files, true, chains(1) + 2 * name.len(), |_| Vec::new());
    // Only who asks sees what is gone.
    for time in 0..10 {
        bed.write(&name);
        bed.discovery.scan(Scan::Files);
        bed.discovery.count();
        let Ok(Command::Look { spec, .. }) = bed.commands.try_recv() else {
            panic!("it waits the time {time}")
        };
        bed.discovery.outlet.watch = None;
        bed.remove(&name);
        let _answer = bed.asks_for_chains([spec.context.id].into(), None, 1);
        bed.discovery.answer();
        bed.discovery.count();
        assert_eq!(heard(&bed), [Vec::<String>::new()]);
    }
}

#[test]
fn a_file_that_there_is_no_memory_for_waits_until_another_is_removed() {
    for with_watch in [false, true] {
        let mut bed = short_bed(files, with_watch, chains(3), |_| Vec::new());
        let names = ["a.log", "b.log", "c.log", "d.log", "e.log"];
        names.iter().for_each(|it| bed.write(it));
        bed.discovery.tick();
        let mut known = heard(&bed).concat();
        assert_eq!((known.len(), bed.waiting("default")), (3, 2), "{known:?}");
        assert!(bed.polled().is_empty(), "there is no room");
        while let Some(gone) = known.pop() {
            bed.remove(&gone);
            let is_told = |bed: &mut Bed| {
                bed.discovery.tick();
                bed.poll();
                heard(bed).into_iter().filter(|it| !it.is_empty()).flatten().next()
            };
            let mut next = None;
            if bed.waiting("default") > 0 {
                assert!(bed.comes(|bed| {
                    next = is_told(bed);
                    next.is_some()
                }));
            }
            assert!(next.is_none_or(|it| names.contains(&&*it)), "one in the place of the other");
        }
        assert_eq!(bed.waiting("default"), 0);
    }
}

#[test]
fn a_generation_of_what_is_known_never_waits() {
    for with_watch in [false, true] {
        let mut bed = short_bed(files, with_watch, chains(1), |_| Vec::new());
        bed.write("a.log");
        bed.discovery.tick();
        assert_eq!(heard(&bed), [["a.log"]]);
        fs::rename(bed.root.path().join("a.log"), bed.root.path().join("a.log.1")).unwrap();
        bed.write("a.log");
        assert!(bed.hears(&["a.log.1", "a.log"]));
        assert_eq!(bed.waiting("default"), 0);
    }
}

/// More chains than are looked at again for the sake of one.
const MANY: usize = 300;

#[test]
fn a_new_file_is_not_read_before_an_older_generation_of_it_that_waits() {
    let mut bed = short_bed(files, true, chains(MANY), |_| Vec::new());
    (0..MANY).for_each(|number| bed.write(&format!("{number:03}.log")));
    bed.discovery.tick();
    assert_eq!(heard(&bed).len(), MANY);
    bed.write("z.log.1");
    assert!(bed.comes(|bed| {
        bed.discovery.tick();
        bed.waiting("default") == 1
    }));
    // What is written to it is no news.
    fs::write(bed.root.path().join("z.log.1"), "y\n").unwrap();
    bed.remove("000.log");
    assert!(bed.hears(&[]));
    bed.write("z.log");
    assert!(!bed.hears_within(&["z.log"], 300));
    bed.poll();
    assert_eq!(heard(&bed), [["z.log.1", "z.log"]]);
}

#[test]
fn a_tenant_with_thousands_of_files_keeps_no_other_tenants_pod_waiting() {
    for with_watch in [false, true] {
        // A pod is two directories and a chain.
        let pod = 2 * DIRECTORY_BYTES + CHAIN_BYTES;
        let mut bed = short_bed(pods, with_watch, 20 * pod, |_| Vec::new());
        (0..100).for_each(|number| bed.write(&format!("many_web-{number}_u{number}/app/0.log")));
        bed.discovery.tick();
        let known = heard(&bed).len();
        assert!((18..=20).contains(&known), "{known}: all of a pod, or nothing");
        assert!(bed.waiting("many") >= 80, "{}", bed.waiting("many"));
        bed.write("few_web-0_v/app/0.log");
        assert!(bed.comes(|bed| {
            bed.discovery.tick();
            if !with_watch {
                bed.poll();
            }
            heard(bed).len() == 1
        }));
        assert_eq!(bed.waiting("few"), 0);
    }
}

#[test]
fn what_an_earlier_life_began_with_is_known_before_what_is_new_at_a_start() {
    let pod = 2 * DIRECTORY_BYTES + CHAIN_BYTES;
    let path = |root: &Path| root.join("shop_web-7_u7/app/0.log");
    let begun = |root: &Path| {
        let place = Place { host: "host".to_owned(), ..Place::default() };
        let context = pods(root).context(&place, &TenantMap::default(), &path(root));
        vec![context.unwrap().id]
    };
    let mut bed = short_bed(pods, false, pod, begun);
    (0..20).for_each(|number| bed.write(&format!("shop_web-{number}_u{number}/app/0.log")));
    bed.discovery.tick();
    let looks = bed.commands.try_iter().map(|it| match it {
        Command::Look { files, .. } => files[0].path.clone(),
        other => panic!("{other:?}"),
    });
    let looks: Vec<PathBuf> = looks.collect();
    assert!(looks.contains(&path(bed.root.path())), "{looks:?}");
    assert!(looks.len() <= 2, "{looks:?}");
}

#[test]
fn without_a_cap_nothing_waits() {
    let mut bed = bed_that_opens(files, TenantMap::default(), false, 0);
    bed.discovery = bed.discovery.standing_in(NodeBudget::new(0), None);
    (0..MANY).for_each(|number| bed.write(&format!("{number:03}.log")));
    bed.discovery.tick();
    assert_eq!((heard(&bed).len(), bed.waiting("default")), (MANY, 0));
}
