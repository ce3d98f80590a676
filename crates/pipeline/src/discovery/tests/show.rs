//! Chains that are shown to who asks for them.

use super::*;
use crate::reader::{ChainPlace, ChainsAsked, Shown};

impl Bed {
    /// Asks for the next chains of these contexts, which are in order.
    pub(super) fn asks_for_chains(
        &self,
        contexts: Arc<[ContextId]>,
        after: Option<ChainPlace>,
        max: usize,
    ) -> Receiver<Shown> {
        let (answer, shown) = bounded(1);
        self.ask_door.ask(Ask::Chains(Box::new(ChainsAsked { contexts, after, max, answer })));
        shown
    }

    /// The contexts of the chains that the reader was told of, in order, and their names.
    fn told(&self) -> Vec<(ContextId, String)> {
        let told = self.commands.try_iter().filter_map(|command| match command {
            Command::Look { spec, files, .. } => Some((spec.context.id, name(&files))),
            _ => None,
        });
        let mut told: Vec<_> = told.collect();
        told.sort();
        told
    }
}

/// The name of a chain's live file, with its directory's.
fn name(files: &[SeenFile]) -> String {
    let path = &files.last().unwrap().path;
    let names = path.components().rev().take(2).map(|it| it.as_os_str().to_string_lossy());
    names.collect::<Vec<_>>().join(" of ")
}

/// Each question went over all chains: with 100,000 sources at rest a report went 200 times over all of them.
#[test]
fn who_asks_for_chains_piece_by_piece_has_each_gone_over_once() {
    const PIECE: usize = 3;
    let rules = |root: &Path| {
        // Directories below a directory, and one with many files.
        let globs = [format!("{}/*/*.log", root.display()), format!("{}/*.txt", root.display())];
        let rules = globs.map(|glob| {
            let selection = FileSelection::new(&[glob], GlobSet::empty()).unwrap();
            rule("test", Selection::Files(selection), TenantMap::default(), root)
        });
        rules.into()
    };
    let mut bed = bed_of_rules(rules, false, 0);
    for number in 0..40 {
        let folder = bed.root.path().join(format!("{number:02}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.log"), "line\n").unwrap();
        fs::write(folder.join("b.log"), "line\n").unwrap();
        fs::write(bed.root.path().join(format!("{number:02}.txt")), "line\n").unwrap();
    }
    bed.discovery.tick();
    let told = bed.told();
    assert_eq!(told.len(), 120);
    // Half of them.
    let asked: Vec<_> = told.into_iter().step_by(2).collect();
    let contexts: Arc<[ContextId]> = asked.iter().map(|it| it.0).collect();
    let (mut passed, mut pieces, mut names, mut after) = (0, 0, Vec::new(), None);
    loop {
        let answer = bed.asks_for_chains(Arc::clone(&contexts), after, PIECE);
        bed.discovery.answer();
        let shown = answer.try_recv().unwrap();
        assert!(shown.chains.len() <= PIECE, "no more than there is memory for");
        names.extend(shown.chains.iter().map(|(_, files)| name(files)));
        (passed, pieces) = (passed + shown.passed, pieces + 1);
        after = shown.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(passed, 120, "in {pieces} pieces");
    names.sort();
    let mut expected: Vec<String> = asked.into_iter().map(|it| it.1).collect();
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn chains_that_stay_are_shown_once_while_others_come_and_go() {
    let below = |root: &Path| {
        let glob = format!("{}/*/*.log", root.display());
        Selection::Files(FileSelection::new(&[glob], GlobSet::empty()).unwrap())
    };
    let mut bed = bed(below, false);
    let folder = |bed: &Bed, number: usize| bed.root.path().join(format!("{number:02}"));
    let write = |bed: &Bed, number: usize| {
        fs::create_dir_all(folder(bed, number)).unwrap();
        fs::write(folder(bed, number).join("a.log"), "line\n").unwrap();
    };
    (0..30).for_each(|it| write(&bed, it));
    bed.discovery.tick();
    let told = bed.told();
    let contexts: Arc<[ContextId]> = told.iter().map(|it| it.0).collect();
    let (mut names, mut after) = (Vec::new(), None);
    for number in 0.. {
        let answer = bed.asks_for_chains(Arc::clone(&contexts), after, 2);
        bed.discovery.answer();
        let shown = answer.try_recv().unwrap();
        names.extend(shown.chains.iter().map(|(_, files)| name(files)));
        after = shown.next;
        if after.is_none() {
            break;
        }
        // Every third one goes, shown or not; one goes and comes again; others are new.
        fs::remove_dir_all(folder(&bed, number * 3 % 30)).ok();
        bed.discovery.scan(Scan::Files);
        write(&bed, 3);
        write(&bed, 50 + number);
        bed.discovery.scan(Scan::Files);
    }
    names.sort();
    let is_stable = |it: &&String| {
        let number: usize = it.rsplit(' ').next().unwrap().parse().unwrap();
        !number.is_multiple_of(3)
    };
    let shown: Vec<&String> = names.iter().filter(is_stable).collect();
    let mut expected: Vec<&String> = told.iter().map(|it| &it.1).filter(is_stable).collect();
    expected.sort();
    assert_eq!(shown, expected);
}

/// Counting goes over all directories.
#[test]
fn a_question_has_nothing_counted_that_did_not_change() {
    let mut bed = bed(files, true);
    let live = bed.root.path().join("a.log");
    fs::write(&live, "line\n").unwrap();
    bed.discovery.tick();
    let contexts: Arc<[ContextId]> = bed.told().iter().map(|it| it.0).collect();
    let meter = Arc::clone(&bed.discovery.outlet.meter);
    // What the next count says is another number.
    meter.denied_pods.set(7);
    bed.discovery.outlet.watch = None;
    for is_there in [true, false] {
        if !is_there {
            fs::remove_file(&live).unwrap();
        }
        let answer = bed.asks_for_chains(Arc::clone(&contexts), None, 1);
        bed.discovery.tick();
        assert_eq!(answer.try_recv().unwrap().chains.len(), 1);
        assert_eq!(meter.denied_pods.get(), if is_there { 7 } else { 0 });
    }
}

#[test]
fn chains_are_shown_to_who_asks_by_context() {
    let mut bed = bed(files, false);
    for name in ["a.log", "a.log.1", "b.log"] {
        fs::write(bed.root.path().join(name), name).unwrap();
    }
    bed.discovery.tick();
    let is_a = |spec: &SourceSpec| spec.context.to_string().ends_with("/a.log");
    let contexts = bed.commands.try_iter().filter_map(|command| match command {
        Command::Look { spec, .. } => is_a(&spec).then_some(spec.context.id),
        _ => None,
    });
    let answer = bed.asks_for_chains(contexts.collect(), None, 10);
    bed.discovery.tick();
    let chains = answer.try_recv().unwrap().chains;
    let [(spec, files)] = &*chains else { panic!("{chains:?}") };
    assert!(is_a(spec));
    assert_eq!(files.len(), 2);
}

/// What a report said of a source at rest was never told to its reader: of a file that was removed then, a gap had no length.
#[test]
fn what_is_shown_of_a_chain_its_reader_is_told_before() {
    let mut bed = bed(files, true);
    let live = bed.root.path().join("a.log");
    fs::write(&live, "line\n").unwrap();
    bed.discovery.tick();
    let Ok(Command::Look { spec, .. }) = bed.commands.try_recv() else { panic!("not found") };
    // Of what comes now nothing is heard.
    bed.discovery.outlet.watch = None;
    fs::write(&live, "line\nand more").unwrap();
    let answer = bed.asks_for_chains([spec.context.id].into(), None, 1);
    bed.discovery.tick();
    let size_of = |files: &[SeenFile]| files.last().map(|it| it.stat.size);
    let shown = answer.try_recv().unwrap();
    assert_eq!(size_of(&shown.chains[0].1), Some(13));
    fs::remove_file(&live).unwrap();
    bed.discovery.scan(Scan::Files);
    let told = bed.commands.try_iter().map(|command| match command {
        Command::Look { files, .. } => size_of(&files),
        command => panic!("{command:?}"),
    });
    assert_eq!(told.collect::<Vec<_>>(), [Some(13), None]);
    // Who asks first sees that it is gone, and its reader does.
    fs::write(&live, "line\n").unwrap();
    bed.discovery.scan(Scan::Files);
    fs::remove_file(&live).unwrap();
    let answer = bed.asks_for_chains([spec.context.id].into(), None, 1);
    bed.discovery.tick();
    assert_eq!(size_of(&answer.try_recv().unwrap().chains[0].1), None);
    assert_eq!(heard(&bed), [vec!["a.log"], vec![]]);
}
