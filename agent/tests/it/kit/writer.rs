//! Writer: a load that is written on a thread of its own while the test does other things.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use benches::layout::Layout;
use benches::load::{ContentClock, Limits, Load, LoadSpec};
use benches::rotation::Rotation;
use benches::shape::Shape;
use benches::truth::StreamTruth;
use benches::wrap::Format;

/// Rotated files that are kept in tests that lose nothing: more than any of them makes.
const FILES_MAX: usize = 10_000;

/// Plain lines into `folder/app-N.log`, without limit and rotation, at 400 kB/s.
pub(crate) fn load(folder: &Path, files: u32) -> LoadSpec {
    LoadSpec {
        shape: Shape::Nginx,
        format: Format::Plain,
        layout: Layout::Flat,
        out: folder.to_path_buf(),
        files,
        first_stream: 0,
        stderr_share: 0.0,
        rotation: None,
        clock: ContentClock::Virtual,
        seed: 1,
        limits: Limits::default(),
        rate: 400_000,
    }
}

/// Rotation at so many bytes, of which no generation is removed.
pub(crate) fn rotation(bytes: u64) -> Option<Rotation> {
    Some(Rotation { bytes, files_max: FILES_MAX, late_ns: 0 })
}

/// A load being written.
#[derive(Debug)]
pub(crate) struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<StreamTruth>>,
}

impl Writer {
    pub(crate) fn start(spec: &LoadSpec) -> Writer {
        let stop = Arc::new(AtomicBool::new(false));
        let mut load = Load::create(spec).expect("a load that makes sense");
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            load.run(&told).expect("files can be written");
            load.truth()
        });
        Writer { stop, thread }
    }

    /// Waits until its limits are reached; returns what was written.
    pub(crate) fn finish(self) -> Vec<StreamTruth> {
        self.thread.join().expect("the writer did not fail")
    }

    /// Has it stop; returns what was written.
    pub(crate) fn stop(self) -> Vec<StreamTruth> {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }
}

/// Writes a load with limits at once; returns what was written.
pub(crate) fn write(spec: &LoadSpec) -> Vec<StreamTruth> {
    Writer::start(&LoadSpec { rate: 0, ..spec.clone() }).finish()
}
