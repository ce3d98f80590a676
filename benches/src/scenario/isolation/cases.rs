//! Cases: ways to use up processor and disk, all on the embedded queue.

use anyhow::Result;

use super::config::{Config, queue};
use super::neighbours::{Bed, VICTIM_RATE};
use super::{Case, Settings, Space, ask};
use crate::load::LoadSpec;
use crate::report::Section;
use crate::rotation::Rotation;
use crate::shape::Shape;

/// Bytes a second of an aggressor.
const FLOOD_RATE: u64 = 100 * VICTIM_RATE;

/// As slow as the configuration lets an expression be: with one repetition more it is refused. Its table of states is
/// larger than a core's cache, and lines of random words lead all over it.
const WORST_REGEX: &str =
    r", multiline: {begin: '(?-u)[a-m][ -~]{13}[^ -~]'}, line: {maxBytes: 256KiB}";
/// Length of its lines, in bytes: almost the longest that is kept whole.
const REGEX_LINE: usize = 200_000;

/// Length of a long line, in bytes: it comes in parts of what is kept whole.
const LONG_LINE: usize = 4 << 20;

/// Files of a storm of rotations.
const STORM_FILES: u32 = 32;
/// Bytes at which they are rotated: some 1,500 rotations a second in all.
const STORM_ROTATE_BYTES: u64 = 64 << 10;
/// Rotated files that are kept.
const STORM_KEEP: usize = 5;

/// Files with a line now and then.
const TINY_FILES: u32 = 10_000;
/// Bytes a second of all of them: about 8,000 lines.
const TINY_RATE: u64 = 2 * VICTIM_RATE;

/// Processor: an expression that takes as long as the configuration allows.
pub(in super::super) fn regex(settings: &Settings, space: &Space) -> Result<Section> {
    ask(settings, space, |bed| {
        let mut spec = flood(bed, 1);
        spec.shape = Shape::Fixed(REGEX_LINE);
        let what = "Lines of 200,000 bytes, written to one file at 100 MB/s, each of which a LogConfig holds against an \
                    expression that is as slow as one may be.";
        let case = case(bed, "isolation-regex", what, spec);
        Ok(Case { config: Config { aggressor: WORST_REGEX, ..case.config }, ..case })
    })
}

/// Processor: lines of megabytes.
pub(in super::super) fn long_lines(settings: &Settings, space: &Space) -> Result<Section> {
    ask(settings, space, |bed| {
        let mut spec = flood(bed, 1);
        spec.shape = Shape::Fixed(LONG_LINE);
        let what = "Lines of 4 MiB, written to one file at 100 MB/s.";
        Ok(case(bed, "isolation-lines", what, spec))
    })
}

/// Disk: files that are rotated all the time.
pub(in super::super) fn rotation(settings: &Settings, space: &Space) -> Result<Section> {
    ask(settings, space, |bed| {
        let mut spec = flood(bed, STORM_FILES);
        let (bytes, files_max) = (STORM_ROTATE_BYTES, STORM_KEEP + 1);
        spec.rotation = Some(Rotation { bytes, files_max, late_ns: 0 });
        let what = "32 files that rotate at 64 KiB, five kept, written at 100 MB/s in all.";
        Ok(case(bed, "isolation-rotation", what, spec))
    })
}

/// Disk: very many files.
pub(in super::super) fn many_files(settings: &Settings, space: &Space) -> Result<Section> {
    ask(settings, space, |bed| {
        let mut spec = bed.aggressor(TINY_FILES);
        spec.rate = TINY_RATE;
        let what = "10,000 files that have a line each now and then, 2 MB/s in all.";
        Ok(case(bed, "isolation-files", what, spec))
    })
}

fn flood(bed: &Bed<'_>, files: u32) -> LoadSpec {
    let mut spec = bed.aggressor(files);
    spec.rate = FLOOD_RATE;
    spec
}

/// A case on the embedded queue.
fn case(
    bed: &Bed<'_>,
    name: &'static str,
    what: &'static str,
    aggressor: LoadSpec,
) -> Case<'static> {
    let folder = bed.space.bench(bed.settings).queue();
    let config = Config { sink: queue(&folder), ..Config::default() };
    let tail = ["--namespace".into(), "victim".into(), "--queue".into(), folder.into_os_string()];
    Case { name, what, config, tail: tail.to_vec(), aggressor, resident_max: None, fault: None }
}
