//! The store against a model of it, and an agent that reads what it collects.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use pipeline::discovery::rotation;
use proptest::prelude::*;
use tempfile::TempDir;

use super::load::key_of;
use super::*;

const KEEP: usize = 8192;
const KEEP_BYTES: u64 = KEEP as u64;
const MAKER: Maker = Maker { uid: 0, gid: 0 };

fn place() -> TempDir {
    TempDir::new_in("/dev/shm").expect("a tmpfs")
}

fn open_store(folder: &Path) -> Store {
    let retention = Retention { keep_bytes: KEEP_BYTES, linger: Duration::ZERO };
    Store::open_at(folder, Selection::default(), retention, Arc::default()).expect("opens")
}

fn name(name: &str) -> &OsStr {
    OsStr::new(name)
}

fn create(store: &Store, path: &str) -> NodeId {
    store.create(ROOT, name(path), 0o644, MAKER).expect("made").id
}

fn append(store: &Store, id: NodeId, data: &[u8]) {
    let size = store.attr(id).expect("there").size;
    assert_eq!(store.write(id, size, data, Order::AsWritten), Ok(Written::Done));
}

fn read_all(store: &Store, id: NodeId) -> Vec<u8> {
    let size = store.attr(id).expect("there").size;
    let mut bytes = vec![0; usize::try_from(size).expect("small") + 1];
    let (len, _) = store.read(id, 0, &mut bytes).expect("readable");
    bytes.truncate(len);
    bytes
}

fn key(store: &Store, id: NodeId) -> u64 {
    store.inner().tree.file_mut(id).expect("a file").key
}

/// What is below `logs`, by name.
fn logs(store: &Store) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![store.logs()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(store.logs()).expect("below").to_path_buf();
                found.insert(name, std::fs::read(&path).expect("readable"));
            }
        }
    }
    found
}

fn log_texts(store: &Store) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    logs(store).iter().map(|(name, it)| (text(name.as_os_str().as_bytes()), text(it))).collect()
}

#[test]
fn what_was_written_stays_in_its_chain_whatever_it_is_renamed_to() {
    let folder = place();
    let store = open_store(folder.path());
    append(&store, create(&store, "app.log"), b"one\n");
    store.rename(ROOT, name("app.log"), ROOT, name("app-2026-01-02.log"), false).unwrap();
    append(&store, create(&store, "app.log"), b"two\n");
    store.rename(ROOT, name("app-2026-01-02.log"), ROOT, name("old"), false).unwrap();
    assert_eq!(
        log_texts(&store),
        [
            ("app.log".to_owned(), "two\n".to_owned()),
            ("app.log-00000000000000000001".to_owned(), "one\n".to_owned()),
        ]
    );
}

#[test]
fn an_empty_file_belongs_to_the_name_that_it_is_written_under() {
    let folder = place();
    let store = open_store(folder.path());
    let id = create(&store, "being-made");
    store.rename(ROOT, name("being-made"), ROOT, name("app.log"), false).unwrap();
    append(&store, id, b"one\n");
    assert_eq!(log_texts(&store), [("app.log".to_owned(), "one\n".to_owned())]);
}

#[test]
fn an_open_file_whose_bytes_are_not_here_yet_stays_in_its_chain() {
    let folder = place();
    let store = open_store(folder.path());
    let id = create(&store, "app.log");
    store.open(id).unwrap();
    store.rename(ROOT, name("app.log"), ROOT, name("app-1.log"), false).unwrap();
    append(&store, id, b"one\n");
    let expected = ("app.log-00000000000000000001".to_owned(), "one\n".to_owned());
    assert_eq!(log_texts(&store), [expected]);
}

#[test]
fn nobody_but_root_gets_to_files_by_the_folders_beside_the_tree() {
    use std::os::unix::fs::PermissionsExt;
    let folder = place();
    let store = open_store(folder.path());
    let closed = store.make_directory(ROOT, name("closed"), 0o700, MAKER).unwrap();
    store.create(closed.id, name("app.log"), 0o644, MAKER).unwrap();
    for beside in ["logs", "orphans", "new"] {
        let is = std::fs::metadata(folder.path().join(beside)).unwrap();
        assert_eq!(is.permissions().mode() & 0o7777, 0o700, "{beside}");
    }
}

#[test]
fn a_truncated_file_goes_on_as_a_new_generation_and_the_old_one_is_kept_until_delivered() {
    let folder = place();
    let store = open_store(folder.path());
    let id = create(&store, "app.log");
    append(&store, id, b"one\n");
    let old = key(&store, id);
    store.change(id, &Changes { size: Some(0), ..Changes::default() }).unwrap();
    append(&store, id, b"two\n");
    assert_eq!(read_all(&store, id), b"two\n");
    store.sweep().unwrap();
    assert_eq!(logs(&store).len(), 2, "nothing of it was acknowledged");
    store.acknowledge(old, 4).unwrap();
    store.sweep().unwrap();
    assert_eq!(log_texts(&store), [("app.log".to_owned(), "two\n".to_owned())]);
}

#[test]
fn a_removed_file_is_written_to_by_whoever_has_it_open_over_a_restart() {
    let folder = place();
    let store = open_store(folder.path());
    let id = create(&store, "app.log");
    store.open(id).unwrap();
    append(&store, id, b"one\n");
    drop(store);
    let store = open_store(folder.path());
    store.remove(ROOT, name("app.log")).unwrap();
    drop(store);
    let store = open_store(folder.path());
    append(&store, id, b"two\n");
    assert_eq!(read_all(&store, id), b"one\ntwo\n");
    assert_eq!(store.attr(id).unwrap().links, 0);
    let key = key(&store, id);
    store.acknowledge(key, 8).unwrap();
    store.sweep().unwrap();
    assert_eq!(logs(&store).len(), 1, "more may be written");
    store.forget(id, 1);
    store.sweep().unwrap();
    assert_eq!(logs(&store).len(), 0);
    assert_eq!(store.attr(id), Err(Errno::STALE));
}

#[test]
fn a_copy_that_a_rotator_makes_is_kept_for_readers_and_not_collected() {
    let folder = place();
    let store = open_store(folder.path());
    append(&store, create(&store, "app.log"), b"one\n");
    let copy = create(&store, "app.log.1");
    append(&store, copy, b"one\n");
    drop(store);
    let store = open_store(folder.path());
    assert_eq!(read_all(&store, copy), b"one\n");
    assert_eq!(log_texts(&store), [("app.log".to_owned(), "one\n".to_owned())]);
    let nuls = vec![0; 1 << 20];
    append(&store, copy, &nuls);
    assert!(store.attr(copy).unwrap().blocks <= 8, "what was released is no memory in a copy");
    for _ in 0..4 {
        append(&store, copy, &[b'x'; 1 << 20]);
    }
    let held_bytes = store.attr(copy).unwrap().blocks * 512;
    assert!(held_bytes < (1 << 20) + (128 << 10), "nobody waits for it: {held_bytes}");
}

#[test]
fn what_is_gone_of_a_copy_is_told_and_never_read_as_what_was_written() {
    let folder = place();
    let store = open_store(folder.path());
    create(&store, "app.log");
    let copy = create(&store, "app.log.1");
    append(&store, copy, &vec![b'x'; 3 << 20]);
    let lost = |store: &Store, id, at| {
        let (_, missing) = store.read(id, at, &mut [0; 100]).expect("readable");
        missing.and_then(|it| it.lost)
    };
    assert_eq!(lost(&store, copy, 0), None, "the first page");
    assert!(lost(&store, copy, 1 << 20).is_some_and(|it| it.contains("a copy")));
    assert_eq!(lost(&store, copy, (3 << 20) - 4096), None, "the end");
    drop(store);
    let store = open_store(folder.path());
    let copy = store.lookup(ROOT, name("app.log.1")).expect("there").id;
    assert!(lost(&store, copy, 1 << 20).is_some_and(|it| it.contains("a copy")));
}

/// Once its end alone was kept, and the rest read as NUL.
#[test]
fn a_file_that_is_neither_log_nor_copy_stays_as_it_is() {
    let folder = place();
    let only = globset::GlobSet::builder().add(globset::Glob::new("*.log").unwrap()).build();
    let open = || {
        let only = Some(only.as_ref().unwrap().clone());
        let retention = Retention { keep_bytes: KEEP_BYTES, linger: Duration::ZERO };
        Store::open_at(folder.path(), Selection { only }, retention, Arc::default()).unwrap()
    };
    let store = open();
    let id = create(&store, "state.db");
    let written: Vec<u8> = (0..3_000_000_u32).map(|it| b'a' + (it % 23).to_le_bytes()[0]).collect();
    append(&store, id, &written);
    assert!(read_all(&store, id) == written);
    drop(store);
    let store = open();
    let id = store.lookup(ROOT, name("state.db")).expect("there").id;
    append(&store, id, b"more");
    assert!(read_all(&store, id)[..written.len()] == written);
    assert_eq!(store.read(id, 1 << 20, &mut [0; 100]).unwrap().1, None);
    assert!(log_texts(&store).is_empty());
}

#[test]
fn a_copy_that_is_written_over_a_rotated_file_is_no_log_and_what_was_in_it_is() {
    let folder = place();
    let store = open_store(folder.path());
    let id = create(&store, "app.log");
    append(&store, id, b"one\n");
    store.rename(ROOT, name("app.log"), ROOT, name("app.log.1"), false).unwrap();
    append(&store, create(&store, "app.log"), b"two\n");
    // As `cp app.log app.log.1` does.
    let opened = Changes { size: Some(0), is_opened: true, ..Changes::default() };
    store.change(id, &opened).unwrap();
    append(&store, id, b"two\n");
    assert_eq!(read_all(&store, id), b"two\n");
    let texts: Vec<String> = log_texts(&store).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["two\n", "one\n"]);
}

#[test]
fn acknowledged_bytes_are_given_back_but_for_the_first_page_and_the_last_ones() {
    let folder = place();
    let store = open_store(folder.path());
    let id = create(&store, "app.log");
    let written: Vec<u8> = (0..1_000_000_u32).map(|it| b'a' + (it % 23).to_le_bytes()[0]).collect();
    append(&store, id, &written);
    let key = key(&store, id);
    store.acknowledge(key, 500_000).unwrap();
    let is = read_all(&store, id);
    let kept_from = 500_000 - KEEP;
    assert_eq!(is[..4096], written[..4096]);
    assert_eq!(is[kept_from..], written[kept_from..]);
    assert!(is[4096..kept_from - 4096].iter().all(|it| *it == 0));
    assert!(store.attr(id).unwrap().blocks * 512 < 550_000);
    // What is written over them now is not stored, and not delivered either.
    let over = vec![b'!'; 300_000];
    assert_eq!(store.write(id, 0, &over, Order::AsWritten), Ok(Written::Done));
    assert!(store.attr(id).unwrap().blocks * 512 < 550_000);
    assert_eq!(store.meter().overwritten_bytes.get(), 300_000 - 4096);
    assert_eq!(read_all(&store, id)[kept_from..], written[kept_from..]);
}

#[test]
fn a_file_that_is_done_with_keeps_its_name_until_discovery_has_seen_it() {
    let folder = place();
    let retention = Retention { keep_bytes: KEEP_BYTES, linger: Duration::from_millis(300) };
    let store =
        Store::open_at(folder.path(), Selection::default(), retention, Arc::default()).unwrap();
    let id = create(&store, "app.log");
    store.remove(ROOT, name("app.log")).unwrap();
    store.forget(id, 1);
    store.sweep().unwrap();
    assert_eq!(logs(&store).len(), 1);
    std::thread::sleep(retention.linger);
    store.sweep().unwrap();
    assert_eq!(logs(&store).len(), 0);
}

#[test]
fn what_the_agent_says_of_more_than_there_is_gives_nothing_back() {
    let folder = place();
    let store = open_store(folder.path());
    let id = create(&store, "app.log");
    append(&store, id, &[b'x'; 200_000]);
    let key = key(&store, id);
    store.acknowledge(key, 200_001).unwrap();
    assert_eq!(store.meter().released_bytes.get(), 0);
}

#[test]
fn a_link_out_of_the_volume_is_followed_by_nobody_here() {
    let folder = place();
    let store = open_store(folder.path());
    let link = store.make_link(ROOT, name("app.log"), Path::new("/etc/passwd"), MAKER).unwrap();
    assert_eq!(store.read_link(link.id).unwrap(), b"/etc/passwd");
    assert_eq!(store.open(link.id), Err(Errno::INVAL));
    assert_eq!(logs(&store).len(), 0);
    store.change(link.id, &Changes { uid: Some(1), ..Changes::default() }).unwrap();
    assert_eq!(store.attr(link.id).unwrap().uid, 1);
    store.remove(ROOT, name("app.log")).unwrap();
}

#[test]
fn directories_go_with_what_was_in_them_once_that_is_delivered() {
    let folder = place();
    let store = open_store(folder.path());
    let directory = store.make_directory(ROOT, name("d"), 0o755, MAKER).unwrap().id;
    let id = store.create(directory, name("app.log"), 0o644, MAKER).unwrap().id;
    append(&store, id, b"one\n");
    assert_eq!(store.remove_directory(ROOT, name("d")), Err(Errno::NOTEMPTY));
    assert_eq!(store.rename(ROOT, name("d"), directory, name("d"), false), Err(Errno::INVAL));
    let key = key(&store, id);
    store.remove(directory, name("app.log")).unwrap();
    store.remove_directory(ROOT, name("d")).unwrap();
    store.forget(id, 1);
    assert_eq!(log_texts(&store)[0].0, "d/app.log-00000000000000000001");
    // One of the same name meanwhile.
    let directory = store.make_directory(ROOT, name("d"), 0o755, MAKER).unwrap().id;
    store.create(directory, name("app.log"), 0o644, MAKER).unwrap();
    store.acknowledge(key, 4).unwrap();
    store.sweep().unwrap();
    assert_eq!(log_texts(&store), [("d/app.log".to_owned(), String::new())]);
}

#[test]
fn a_name_that_is_too_long_is_refused_before_anything_is_removed() {
    let folder = place();
    let store = open_store(folder.path());
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    let fits = "n".repeat(NAME_BYTES_MAX);
    assert_eq!(store.create(ROOT, name(&long), 0o644, MAKER).err(), Some(Errno::NAMETOOLONG));
    append(&store, create(&store, &fits), b"one\n");
    store.rename(ROOT, name(&fits), ROOT, name("app.log"), false).unwrap();
    let refused = store.rename(ROOT, name("app.log"), ROOT, name(&long), false);
    assert_eq!(refused, Err(Errno::NAMETOOLONG));
    assert_eq!(log_texts(&store)[0].1, "one\n");
}

/// Something that is done to a volume; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Create(usize, usize),
    MakeDirectory(usize),
    Append(usize, usize),
    Overwrite(usize, usize, usize),
    Resize(usize, usize),
    Rename(usize, usize, usize),
    Remove(usize),
    RemoveDirectory(usize),
    Forget,
    Collect,
    Acknowledge,
    Restart,
}

const NAMES: [&str; 6] = ["a.log", "b.log", "a.log.1", "c", "a.log-20260102", "b.log.2.gz"];
const DIRECTORIES: [&str; 2] = ["d", "e"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let any = 0..1000_usize;
    let step = prop_oneof![
        3 => (any.clone(), any.clone()).prop_map(|(a, b)| Step::Create(a, b)),
        1 => any.clone().prop_map(Step::MakeDirectory),
        8 => (any.clone(), 1..120_000_usize).prop_map(|(a, b)| Step::Append(a, b)),
        1 => (any.clone(), any.clone(), 1..5000_usize).prop_map(|(a, b, c)| Step::Overwrite(a, b, c)),
        2 => (any.clone(), any.clone()).prop_map(|(a, b)| Step::Resize(a, b)),
        3 => (any.clone(), any.clone(), any.clone()).prop_map(|(a, b, c)| Step::Rename(a, b, c)),
        2 => any.clone().prop_map(Step::Remove),
        1 => any.prop_map(Step::RemoveDirectory),
        1 => Just(Step::Forget),
        4 => Just(Step::Collect),
        4 => Just(Step::Acknowledge),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..60)
}

/// What was ever written as one generation.
#[derive(Debug, Default)]
struct Generation {
    chain: PathBuf,
    bytes: Vec<u8>,
    is_log: bool,
    collected: usize,
    acknowledged: usize,
    is_reachable: bool,
}

/// A volume as it must look, and an agent that collects it.
struct Model {
    folder: TempDir,
    store: Option<Store>,
    directories: BTreeMap<PathBuf, NodeId>,
    files: BTreeMap<PathBuf, NodeId>,
    orphans: Vec<NodeId>,
    /// Of each node the generation that it has.
    current: HashMap<NodeId, u64>,
    generations: HashMap<u64, Generation>,
    seed: u8,
}

impl Model {
    fn new() -> Model {
        let folder = place();
        let store = Some(open_store(folder.path()));
        Model {
            folder,
            store,
            directories: BTreeMap::from([(PathBuf::new(), ROOT)]),
            files: BTreeMap::new(),
            orphans: Vec::new(),
            current: HashMap::new(),
            generations: HashMap::new(),
            seed: 0,
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("open")
    }

    fn directory(&self, number: usize) -> (PathBuf, NodeId) {
        let (path, id) = self.directories.iter().nth(number % self.directories.len()).unwrap();
        (path.clone(), *id)
    }

    /// A file, with a name or without.
    fn node(&self, number: usize) -> Option<NodeId> {
        let all: Vec<NodeId> = self.files.values().chain(&self.orphans).copied().collect();
        (!all.is_empty()).then(|| all[number % all.len()])
    }

    fn generation(&mut self, id: NodeId) -> &mut Generation {
        self.generations.get_mut(&self.current[&id]).expect("known")
    }

    fn begin(&mut self, id: NodeId, chain: PathBuf, is_log: bool, bytes: Vec<u8>) {
        let key = key(self.store(), id);
        if let Some(before) = self.current.insert(id, key) {
            self.generations.get_mut(&before).unwrap().is_reachable = false;
        }
        let new = Generation { chain, bytes, is_log, is_reachable: true, ..Generation::default() };
        assert!(self.generations.insert(key, new).is_none(), "keys are never used again");
    }

    fn data(&mut self, len: usize) -> Vec<u8> {
        self.seed = self.seed.wrapping_add(7) | 1;
        (0..len).map(|at| self.seed ^ (at / 97).to_le_bytes()[0] | 1).collect()
    }

    fn orphan(&mut self, id: NodeId) {
        self.orphans.push(id);
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Create(directory, number) => {
                let (folder, parent) = self.directory(directory);
                let file = NAMES[number % NAMES.len()];
                let path = folder.join(file);
                let made = self.store().create(parent, name(file), 0o644, MAKER);
                if self.files.contains_key(&path) || self.directories.contains_key(&path) {
                    assert_eq!(made.err(), Some(Errno::EXIST));
                    return;
                }
                let is_rotated = file.len() > "a.log".len();
                let is_copy = is_rotated && self.files.contains_key(&folder.join("a.log"));
                let is_log = !is_copy && !file.ends_with(".gz");
                let id = made.expect("made").id;
                self.files.insert(path.clone(), id);
                self.begin(id, path, is_log, Vec::new());
            }
            Step::MakeDirectory(number) => {
                let directory = DIRECTORIES[number % DIRECTORIES.len()];
                let made = self.store().make_directory(ROOT, name(directory), 0o755, MAKER);
                if self.directories.contains_key(Path::new(directory)) {
                    assert_eq!(made.err(), Some(Errno::EXIST));
                } else {
                    self.directories.insert(directory.into(), made.expect("made").id);
                }
            }
            Step::Append(number, len) => {
                let Some(id) = self.node(number) else { return };
                let data = self.data(len);
                append(self.store(), id, &data);
                self.generation(id).bytes.extend(&data);
            }
            Step::Overwrite(number, at, len) => {
                let Some(id) = self.node(number) else { return };
                let data = self.data(len);
                let generation = self.generation(id);
                // Before that, it would depend on when the agent came by.
                let free = generation.bytes.len() - generation.collected;
                let offset = generation.collected + at % (free + 1);
                let end = (offset + len).max(generation.bytes.len());
                generation.bytes.resize(end, 0);
                generation.bytes[offset..offset + len].copy_from_slice(&data);
                let is_log = generation.is_log;
                if is_log {
                    let written = self.store().write(id, offset as u64, &data, Order::AsWritten);
                    assert_eq!(written, Ok(Written::Done));
                } else {
                    self.generation(id).bytes = read_all(self.store(), id);
                }
            }
            Step::Resize(number, size) => self.resize(number, size),
            Step::Rename(from, directory, to) => self.rename(from, directory, to),
            Step::Remove(number) => {
                let Some((path, id)) = self.file(number) else { return };
                self.store().remove(self.parent(&path), path.file_name().unwrap()).expect("done");
                self.files.remove(&path);
                self.orphan(id);
            }
            Step::RemoveDirectory(number) => {
                let directory = Path::new(DIRECTORIES[number % DIRECTORIES.len()]);
                let done = self.store().remove_directory(ROOT, directory.as_os_str());
                if !self.directories.contains_key(directory) {
                    assert_eq!(done, Err(Errno::NOENT));
                } else if self.files.keys().any(|it| it.starts_with(directory)) {
                    assert_eq!(done, Err(Errno::NOTEMPTY));
                } else {
                    assert_eq!(done, Ok(()));
                    self.directories.remove(directory);
                }
            }
            Step::Forget => {
                for id in std::mem::take(&mut self.orphans) {
                    self.store().forget(id, 1);
                    self.generation(id).is_reachable = false;
                    assert_eq!(self.store().attr(id), Err(Errno::STALE));
                }
            }
            Step::Collect => self.collect(),
            Step::Acknowledge => {
                for (key, generation) in &mut self.generations {
                    generation.acknowledged = generation.collected;
                    let store = self.store.as_ref().expect("open");
                    store.acknowledge(*key, generation.acknowledged as u64).expect("done");
                }
                self.store().sweep().expect("done");
            }
            Step::Restart => {
                self.store = None;
                self.store = Some(open_store(self.folder.path()));
            }
        }
    }

    fn file(&self, number: usize) -> Option<(PathBuf, NodeId)> {
        let count = self.files.len();
        let (path, id) = self.files.iter().nth(number % count.max(1))?;
        Some((path.clone(), *id))
    }

    fn parent(&self, path: &Path) -> NodeId {
        self.directories[path.parent().unwrap()]
    }

    fn resize(&mut self, number: usize, size: usize) {
        let Some(id) = self.node(number) else { return };
        let before = self.generation(id).bytes.len();
        let size = match size % 3 {
            0 => 0,
            1 => before.saturating_sub(size * 50),
            _ => before + size,
        };
        let visible = read_all(self.store(), id);
        let changes = Changes { size: Some(size as u64), ..Changes::default() };
        self.store().change(id, &changes).expect("done");
        let generation = self.generation(id);
        if size < before && generation.is_log {
            let chain = generation.chain.clone();
            self.begin(id, chain, true, visible[..size].to_vec());
        } else {
            generation.bytes.resize(size, 0);
        }
    }

    fn rename(&mut self, from: usize, directory: usize, to: usize) {
        let Some((path, id)) = self.file(from) else { return };
        let (folder, new_parent) = self.directory(directory);
        let file = NAMES[to % NAMES.len()];
        let new = folder.join(file);
        let parent = self.parent(&path);
        let old_name = path.file_name().unwrap();
        self.store().rename(parent, old_name, new_parent, name(file), false).expect("done");
        if new == path {
            return;
        }
        self.files.remove(&path);
        if let Some(replaced) = self.files.insert(new.clone(), id) {
            self.orphan(replaced);
        }
        let generation = self.generation(id);
        if generation.bytes.is_empty() && generation.chain == path {
            generation.chain = new;
        }
    }

    /// Reads what is new, as the agent does: every file below `logs`, from where it was.
    fn collect(&mut self) {
        for path in logs(self.store()).keys() {
            let place = self.store().in_logs(path);
            let is = stat(&place).expect("there");
            let generation = self.generations.get_mut(&key_of(&is)).expect("known");
            assert!(generation.is_log, "{} is a copy", path.display());
            assert_eq!(chain(path), chain(&generation.chain), "another chain");
            let mut bytes = vec![0; generation.bytes.len() - generation.collected];
            let file = File::open(&place).expect("readable");
            file.read_exact_at(&mut bytes, generation.collected as u64).expect("as long");
            assert!(bytes == generation.bytes[generation.collected..], "other bytes");
            assert_eq!(is.stx_size, generation.bytes.len() as u64);
            generation.collected = generation.bytes.len();
        }
    }

    /// Applications see what they wrote, but for what is released.
    fn check(&mut self) {
        let nodes: Vec<NodeId> = self.files.values().chain(&self.orphans).copied().collect();
        for id in nodes {
            let visible = read_all(self.store(), id);
            let generation = self.generation(id);
            assert_eq!(visible.len(), generation.bytes.len());
            // Of copies nothing waits: only the first page is sure to be there.
            let kept_from = if generation.is_log {
                generation.acknowledged.saturating_sub(KEEP).max(4096)
            } else {
                usize::MAX
            };
            for (at, (is, was)) in visible.iter().zip(&generation.bytes).enumerate() {
                let is_kept = at < 4096 || at >= kept_from;
                assert!(is == was || !is_kept && *is == 0, "byte {at} of {}", visible.len());
            }
        }
        let listed = self.store().inner().tree.files_within(ROOT);
        assert_eq!(listed.len(), self.files.len());
    }
}

/// The chain that the agent takes a name for.
fn chain(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap().as_bytes();
    let base = rotation::split(name).map_or(name, |(base, _)| base);
    path.with_file_name(OsStr::from_bytes(base))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_is_collected_once_in_its_chain_whatever_applications_do(steps in steps()) {
        let mut model = Model::new();
        for step in &steps {
            model.apply(step);
            model.check();
        }
        for step in [Step::Collect, Step::Acknowledge, Step::Restart, Step::Forget] {
            model.apply(&step);
        }
        for generation in model.generations.values().filter(|it| it.is_log) {
            prop_assert_eq!(generation.collected, generation.bytes.len());
        }
        // All is delivered: what nobody can see is gone.
        for step in [Step::Collect, Step::Acknowledge] {
            model.apply(&step);
        }
        let reachable = model.generations.values().filter(|it| it.is_log && it.is_reachable);
        prop_assert_eq!(logs(model.store()).len(), reachable.count());
    }

    #[test]
    fn writes_of_the_page_cache_in_any_order_and_doubled_make_the_file(
        order in proptest::collection::vec(0..1000_usize, 1..40),
        len in 1..300_000_usize,
        extent in 1..20_000_usize,
    ) {
        let folder = place();
        let store = open_store(folder.path());
        let id = create(&store, "app.log");
        let whole: Vec<u8> = (0..len).map(|at| (at % 251).to_le_bytes()[0] + 1).collect();
        let mut left: Vec<(usize, &[u8])> =
            whole.chunks(extent).enumerate().map(|(at, it)| (at * extent, it)).collect();
        let mut done = Vec::new();
        let mut turns = order.iter().cycle();
        while !left.is_empty() {
            let turn = *turns.next().unwrap() % left.len();
            let (at, bytes) = left[turn];
            match store.write(id, at as u64, bytes, Order::AnyOrder).unwrap() {
                Written::Done => done.push(left.remove(turn)),
                Written::Early => {
                    // The first one is always in time.
                    let (at, bytes) = left.remove(0);
                    let written = store.write(id, at as u64, bytes, Order::AnyOrder);
                    prop_assert_eq!(written, Ok(Written::Done));
                }
                Written::Full => unreachable!("there is room"),
            }
            if let Some((at, bytes)) = done.get(turn) {
                store.write(id, *at as u64, bytes, Order::AnyOrder).unwrap();
            }
            // The agent never sees a hole that is still to be filled.
            let is = std::fs::read(store.logs().join("app.log")).unwrap();
            prop_assert!(is == whole[..is.len()]);
        }
        prop_assert!(read_all(&store, id) == whole);
    }
}

#[test]
fn what_is_appended_past_us_survives_a_cut_and_a_restart() {
    let folder = place();
    let store = open_store(folder.path());
    store.let_pass();
    let id = create(&store, "app.log");
    store.open(id).expect("opened");
    let backed = store.backing(id, true, |_| Ok(7)).expect("made");
    assert_eq!(backed, Some(Backed { number: 7, is_current: true }));
    let past = |text: &str| {
        let live = folder.path().join("logs/app.log");
        std::io::Write::write_all(
            &mut File::options().append(true).open(live).expect("there"),
            text.as_bytes(),
        )
        .expect("written");
    };
    past("one\n");
    store.change(id, &Changes { size: Some(0), ..Changes::default() }).expect("cut");
    past("two\n");
    assert_eq!(read_all(&store, id), b"two\n");
    drop(store);
    let store = open_store(folder.path());
    store.let_pass();
    assert_eq!(read_all(&store, id), b"two\n");
    let backed = store.backing(id, false, |_| unreachable!()).expect("known");
    assert_eq!(backed, Some(Backed { number: 7, is_current: true }));
    // Another length: who appends goes on with what is an older generation now.
    store.change(id, &Changes { size: Some(2), ..Changes::default() }).expect("cut");
    assert_eq!(read_all(&store, id), b"tw");
    let backed = store.backing(id, true, |_| unreachable!()).expect("known");
    assert_eq!(backed, Some(Backed { number: 7, is_current: false }));
    let texts: Vec<String> = log_texts(&store).into_iter().map(|it| it.1).collect();
    assert_eq!(texts, ["tw", "one\ntwo\n"]);
    assert_eq!(store.waiting(), (0, 0), "somebody may be appending to the older one");
    store.remove(ROOT, name("app.log")).expect("removed");
    store.forget_all();
    assert_eq!(store.waiting().0, 2);
}

/// The last close came between two steps of a look, and nothing gave back what the second one took.
#[test]
fn memory_that_is_taken_ahead_while_a_file_is_closed_is_given_back() {
    let folder = place();
    let store = open_store(folder.path());
    store.let_pass();
    let id = create(&store, "app.log");
    let held_bytes = || store.attr(id).expect("there").blocks * 512;
    store.open(id).expect("opened");
    store.backing(id, true, |_| Ok(7)).expect("made");
    let appended = store.appended();
    assert!(appended.len() == 1 && held_bytes() > 0);
    store.close(id);
    assert_eq!(held_bytes(), 0);
    assert_eq!(store.take_ahead_in(&appended), Ok(false));
    assert!(held_bytes() > 0);
    store.give_back_closed(&appended);
    assert_eq!(held_bytes(), 0);
    // Who has it open again keeps it.
    store.open(id).expect("opened");
    store.backing(id, true, |_| unreachable!()).expect("known");
    assert_eq!(store.take_ahead(), Ok((1, true)));
    assert!(held_bytes() > 0);
}

/// What may happen to a file that somebody reads, in pages.
#[derive(Debug, Clone)]
enum Fate {
    Append(u8, usize),
    /// Delivered up to so many of the bytes there are, by thousandths.
    Acknowledge(u64),
    /// Written over, at so many thousandths of it.
    Overwrite(u64, u8),
    DropOldest,
    /// Another daemon goes on with it.
    Reopen,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => (1..=255_u8, 1..400_000_usize).prop_map(|(byte, len)| Fate::Append(byte, len)),
        3 => (0..=1000_u64).prop_map(Fate::Acknowledge),
        1 => (0..1000_u64, 1..=255_u8).prop_map(|(at, byte)| Fate::Overwrite(at, byte)),
        1 => Just(Fate::DropOldest),
        1 => Just(Fate::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A byte is either in memory as it was written last; or it was acknowledged, never written over, and is told to be
    /// missing; or it is told to be lost.
    #[test]
    fn a_hole_is_never_taken_for_what_was_written(fates in proptest::collection::vec(fate(), 1..25)) {
        let folder = place();
        let mut store = open_store(folder.path());
        let mut id = create(&store, "app.log");
        let (mut written, mut acknowledged) = (Vec::new(), 0);
        let mut overwritten = BTreeMap::new();
        for fate in fates {
            match fate {
                Fate::Append(byte, len) => {
                    append(&store, id, &vec![byte; len]);
                    written.resize(written.len() + len, byte);
                }
                Fate::Acknowledge(part) => {
                    acknowledged = acknowledged.max(written.len() as u64 * part / 1000);
                    let key = key(&store, id);
                    store.acknowledge(key, acknowledged).expect("works");
                }
                Fate::Overwrite(part, byte) => {
                    let at = written.len() as u64 * part / 1000;
                    // What is given back already cannot be written over.
                    let (_, missing) = store.read(id, at, &mut [0]).expect("readable");
                    if (at as usize) < written.len() && missing.is_none() {
                        assert_eq!(store.write(id, at, &[byte], Order::AsWritten), Ok(Written::Done));
                        if std::mem::replace(&mut written[at as usize], byte) != byte {
                            overwritten.insert(at, byte);
                        }
                    }
                }
                Fate::DropOldest => {
                    store.drop_oldest(1).expect("works");
                }
                Fate::Reopen => {
                    drop(store);
                    store = open_store(folder.path());
                    id = store.lookup(ROOT, name("app.log")).expect("there").id;
                }
            }
            let mut piece = vec![0; 100_000];
            for at in (0..written.len()).step_by(piece.len()) {
                let (len, missing) = store.read(id, at as u64, &mut piece).expect("readable");
                let wanted = &written[at..(at + piece.len()).min(written.len())];
                prop_assert_eq!(len, wanted.len());
                let Some(missing) = missing else {
                    prop_assert!(piece[..len] == *wanted, "at {}", at);
                    continue;
                };
                if missing.lost.is_some() {
                    continue;
                }
                let bytes = missing.range.end - missing.range.start;
                let [begin, end] = [missing.at, missing.at + bytes].map(|it| usize::try_from(it).unwrap());
                prop_assert_eq!(missing.range.start, (at + begin) as u64, "offsets are those of the file");
                prop_assert!(missing.range.end <= acknowledged, "nobody has it");
                prop_assert!(overwritten.range(missing.range.clone()).next().is_none(), "which of both?");
                prop_assert!(piece[..begin] == wanted[..begin] && piece[end..len] == wanted[end..]);
            }
        }
    }
}

/// A file of less than 68 KiB was taken for one of which nothing was ever written over.
#[test]
fn the_next_daemon_knows_what_was_written_over_in_a_short_file() {
    let folder = place();
    let store = open_store(folder.path());
    let id = create(&store, "app.log");
    append(&store, id, &[b'x'; 9000]);
    assert_eq!(store.write(id, 4098, b"y", Order::AsWritten), Ok(Written::Done));
    drop(store);
    let store = open_store(folder.path());
    let id = store.lookup(ROOT, name("app.log")).expect("there").id;
    append(&store, id, &vec![b'x'; 200_000]);
    store.acknowledge(key(&store, id), 200_000).expect("works");
    let lost =
        |at: u64| store.read(id, at, &mut [0; 1]).expect("readable").1.and_then(|it| it.lost);
    assert!(lost(4098).is_some_and(|it| it.contains("written over")));
    assert_eq!(lost(4099), None);
}

#[test]
fn what_a_shorter_file_has_of_one_that_was_given_back_is_lost() {
    let folder = place();
    let store = open_store(folder.path());
    let id = create(&store, "app.log");
    append(&store, id, &vec![b'x'; 500_000]);
    let before = key(&store, id);
    store.acknowledge(before, 500_000).expect("works");
    let changes = Changes { size: Some(400_000), ..Changes::default() };
    store.change(id, &changes).expect("cut");
    assert_ne!(key(&store, id), before, "another generation");
    let lost =
        |at: u64| store.read(id, at, &mut [0; 100]).expect("readable").1.and_then(|it| it.lost);
    assert!(lost(100_000).is_some(), "the older generation has it");
    assert_eq!(lost(0), None);
    drop(store);
    let store = open_store(folder.path());
    let id = store.lookup(ROOT, name("app.log")).expect("there").id;
    assert!(
        store
            .read(id, 100_000, &mut [0; 100])
            .expect("readable")
            .1
            .is_some_and(|it| it.lost.is_some())
    );
}
