//! Following: a `tail --follow` and the records that it has shown so far.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Bed, LOGFERRY, wait_for};

/// A `tail --follow` of the last two records; a test that fails must not leave it behind, as it waits for
/// more for good.
pub(crate) struct Following {
    child: Child,
    out: PathBuf,
}

impl Following {
    /// Starts it on what `place` names.
    pub(crate) fn start(bed: &Bed, place: impl IntoIterator<Item: AsRef<OsStr>>) -> Following {
        let out = bed.path("followed");
        // A shell starts what it puts into the background with Ctrl-C ignored, and that is inherited.
        let child = Command::new("env")
            .args(["--default-signal=INT", LOGFERRY])
            .args(["tail", "--follow", "-n", "2", "--output", "json"])
            .args(place)
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .spawn()
            .unwrap();
        Following { child, out }
    }

    /// Waits until it has shown so many records; returns all of them.
    pub(crate) fn wait(&self, count: usize) -> Vec<Value> {
        wait_for("followed records", || {
            let text = fs::read_to_string(&self.out).unwrap();
            if text.lines().count() < count || !text.ends_with('\n') {
                return Err(text);
            }
            Ok(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
        })
    }

    /// Ends it as Ctrl-C does.
    ///
    /// # Panics
    /// If it has ended before.
    pub(crate) fn interrupt(mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "it follows until it is ended");
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(Signal::INT.as_raw()), "{status}");
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // One that has ended already is no failure.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
