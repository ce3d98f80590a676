//! Small files: whatever step of replacing one fails or is the last, the old one is there whole, or the new one.
//!
//! So are written where spools were, how far they are drained, and Kafka's offsets.

use std::fs;

use sink::small_file;
use tempfile::tempdir;

use crate::every_step::{OneFault, all_faults};

const OLD: &[u8] = b"the old one, which is longer than what follows it";
const NEW: &[u8] = b"the new one";
const NEXT: &[u8] = b"one more";

#[test]
fn every_step_of_replacing_a_small_file_may_fail_or_be_the_last() {
    let clean = OneFault::new(None);
    let dir = tempdir().unwrap();
    small_file::replace(&dir.path().join("it.json"), OLD, &*clean).unwrap();
    let steps = clean.steps();
    assert_eq!(steps, 4, "written, synced, renamed, and its name synced");
    for (step, fault) in (0..steps).flat_map(|step| all_faults().map(move |it| (step, it))) {
        for is_there in [false, true] {
            let dir = tempdir().unwrap();
            let path = dir.path().join("it.json");
            if is_there {
                small_file::replace(&path, OLD, &*OneFault::new(None)).unwrap();
            }
            let told = format!("{fault:?} at step {step}, there before: {is_there}");
            let faulty = OneFault::new(Some((step, fault)));
            assert!(small_file::replace(&path, NEW, &*faulty).is_err(), "{told}");
            let found = small_file::read(&path).unwrap();
            let is_old = found.as_deref() == is_there.then_some(OLD);
            assert!(is_old || found.as_deref() == Some(NEW), "{told}: {found:?}");
            // What was left beside it is in nobody's way.
            small_file::replace(&path, NEXT, &*OneFault::new(None)).unwrap();
            assert_eq!(small_file::read(&path).unwrap().as_deref(), Some(NEXT), "{told}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{told}");
        }
    }
}
