//! Every step of the file sink to its files fails once, in every way, or is the last of the process: no line that
//! was acknowledged is missing, and none is torn or follows half of another.

use std::collections::BTreeSet;
use std::io::Error;
use std::sync::Mutex;

use super::*;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const LINES: u64 = 9;

/// What happens at a step.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// It fails with that error number, and nothing of it is done.
    Fails(i32),
    /// Half of it is done, and it fails.
    Short,
    /// As that, and the process does nothing more.
    Dies,
}

#[derive(Debug, Default)]
struct Steps {
    done: u64,
    fault: Option<(u64, Fault)>,
    is_dead: bool,
}

thread_local! {
    /// The steps of the files that this test's thread opens.
    static STEPS: Arc<Mutex<Steps>> = Arc::default();
}

#[derive(Debug)]
struct Stepwise {
    disk: Arc<dyn Storage>,
    steps: Arc<Mutex<Steps>>,
}

fn open_stepwise(path: &Path) -> io::Result<Arc<dyn Storage>> {
    let steps = STEPS.with(Arc::clone);
    step(&steps, || ())?;
    Ok(Arc::new(Stepwise { disk: Disk::open(path)?, steps }))
}

/// Counts a step; `half` does what is done of one that fails in between.
fn step(steps: &Mutex<Steps>, half: impl FnOnce()) -> io::Result<()> {
    let fault = {
        let mut steps = steps.lock().unwrap();
        if steps.is_dead {
            return Err(Error::other("the process is dead"));
        }
        let number = steps.done;
        steps.done += 1;
        let fault = steps.fault.filter(|(at, _)| *at == number).map(|it| it.1);
        steps.is_dead = matches!(fault, Some(Fault::Dies));
        fault
    };
    match fault {
        None => Ok(()),
        Some(Fault::Fails(errno)) => Err(Error::from_raw_os_error(errno)),
        Some(Fault::Short | Fault::Dies) => {
            half();
            Err(Error::from_raw_os_error(ENOSPC))
        }
    }
}

impl Storage for Stepwise {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    fn last_byte(&self, end: u64) -> io::Result<u8> {
        self.disk.last_byte(end)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        step(&self.steps, || self.disk.append(&bytes[..bytes.len() / 2]).unwrap())?;
        self.disk.append(bytes)
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        step(&self.steps, || ())?;
        self.disk.cut(len)
    }

    fn sync(&self) -> io::Result<()> {
        step(&self.steps, || ())?;
        self.disk.sync()
    }
}

fn line(number: u64) -> String {
    format!("line number {number} with its end")
}

/// What stands in the files, line by line.
fn found(bench: &Bench) -> BTreeSet<String> {
    let texts = bench.names().into_iter().map(|name| bench.read(&name));
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Writes all lines, and begins anew behind what was acknowledged whenever that breaks. Returns how many steps the
/// first life took.
fn write_all(bench: &Bench, fault: Option<(u64, Fault)>) -> u64 {
    let config = FileConfig { rotate_bytes: 80, keep: 100, ..bench.config() };
    let (mut acked, mut steps) = (0, 0);
    for life in 0..5 {
        let payloads = Payloads::new();
        let fault = fault.filter(|_| life == 0);
        let own = STEPS.with(Arc::clone);
        *own.lock().unwrap() = Steps { fault, ..Steps::default() };
        let opened = LogFile::open_with(config.clone(), Arc::new(SystemClock), open_stepwise);
        let Ok(file) = opened else { continue };
        let mut sink = FileSink::new(file, payloads.acks.clone());
        let (mut next, mut tries) = (acked, 0);
        while next < LINES {
            match sink.submit(payloads.lines(&(line(next) + "\n"))) {
                Ok(_) => next += 1,
                Err(refused) if matches!(refused.why, SinkError::Broken(_)) || tries > 3 => break,
                Err(_) => tries += 1,
            }
            if next.is_multiple_of(2) && sink.flush(soon()).is_err() {
                break;
            }
        }
        let is_done = next == LINES && sink.flush(soon()).is_ok();
        drop(sink);
        steps = steps.max(own.lock().unwrap().done);
        acked += payloads.acked();
        let found = found(bench);
        assert!((0..acked).all(|it| found.contains(&line(it))), "{acked} acknowledged: {found:?}");
        if is_done {
            return steps;
        }
    }
    panic!("it never ends");
}

#[test]
fn every_step_of_a_file_sink_may_fail_or_be_the_last() {
    let steps = write_all(&Bench::new(), None);
    assert!(steps > 15, "{steps} steps");
    for fault in [Fault::Fails(EIO), Fault::Fails(ENOSPC), Fault::Short, Fault::Dies] {
        for step in 0..steps {
            let bench = Bench::new();
            write_all(&bench, Some((step, fault)));
            let told = format!("{fault:?} at step {step} of {steps}");
            let whole: BTreeSet<String> = (0..LINES).map(line).collect();
            let found = found(&bench);
            assert!(whole.is_subset(&found), "{told}: {found:?}");
            // What a death left of a line stands by itself.
            let is_torn = |it: &&String| whole.iter().any(|line| line.starts_with(it.as_str()));
            let torn = found.difference(&whole).count();
            assert_eq!(found.difference(&whole).filter(is_torn).count(), torn, "{told}: {found:?}");
            assert!(torn == 0 || matches!(fault, Fault::Dies), "{told}: {found:?}");
        }
    }
}
