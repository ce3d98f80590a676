//! Check: what was delivered from a world, against what the world knows and the model says.
//!
//! Spans must tile. Each byte that a file ever held is delivered at most once, in order, and at least
//! once unless it was gone before it could be read. Of what was gone, as much must be declared as the
//! agent was told of, and not more than there was; a gap of unknown size once, and only of a file that is
//! gone. The records must be those of the [`Model`].

use std::collections::{HashMap, HashSet};

use flow::{GapReason, Position, RecordFlags, Span, own_positions};
use pipeline::frame::Format;
use pipeline::source::generation_key;

use crate::order::{self, Read};
use crate::world::{File, Lost};
use crate::{Model, Run, Whole, World, mend};

mod disk;
mod groups;
pub use groups::check_groups;

/// One section, as the queue holds it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Which life of the source's made it, by number: a new one begins when the agent does, and when the
    /// chain comes back after it was gone.
    pub source: u32,
    /// Cursors.
    pub span: Span,
    /// The world's time when its bytes were read.
    pub at_ns: u64,
    /// Where the generations stood after it.
    pub positions: Vec<Position>,
    /// Set if it declares a gap.
    pub gap: Option<GapReason>,
    /// Cursor, flags and body of each record.
    pub records: Vec<(u64, RecordFlags, Vec<u8>)>,
}

/// A record, or a piece of one, and where it comes from.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// Cursor of its first byte.
    pub cursor: u64,
    /// Stream and oddities.
    pub flags: RecordFlags,
    /// Content.
    pub body: Vec<u8>,
    /// File and life, by number.
    pub place: (usize, usize),
    /// How many holes were declared before it, in whatever file: no line goes on over one.
    pub holes: u32,
}

/// What was found of a run that is as it should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whole records.
    pub records: usize,
    /// Bytes delivered.
    pub bytes: u64,
    /// Bytes declared missing.
    pub gap_bytes: u64,
    /// … of which a limit passed over so many.
    pub shed_bytes: u64,
    /// Whole records that a limit passed over.
    pub shed_records: usize,
    /// Bytes that a full spool let go of.
    pub released_bytes: u64,
    /// Bytes that are missing and nobody could know of.
    pub unknown_bytes: u64,
}

/// How many incarnations of an inode are told apart.
const INCARNATIONS_MAX: u32 = 256;

/// Checks a run that ended with a quiet time, long enough for everything to be delivered.
///
/// # Errors
/// What is wrong first.
pub fn check(world: &World, model: &Model, deliveries: &[Delivery]) -> Result<Verdict, String> {
    check_sample(world, model, deliveries, 0)
}

/// As [`check`], of a run in which so many whole records were left out on purpose.
///
/// # Errors
/// What is wrong first.
pub fn check_sample(
    world: &World,
    model: &Model,
    deliveries: &[Delivery],
    left_out: usize,
) -> Result<Verdict, String> {
    let mut check = Check::new(world);
    for delivery in deliveries {
        check.take(delivery).map_err(|why| format!("{why}\n  at {delivery:?}"))?;
    }
    let mut verdict = check.account()?;
    let got = mend(&check.pieces)?;
    let want = model.records(&check.runs);
    verdict.records = want.len();
    verdict.shed_records = model.records(&check.shed).len();
    if left_out > 0 {
        return is_sample(&got, &want, left_out).map(|()| verdict);
    }
    for (got, want) in got.iter().zip(&want) {
        if got != want {
            return Err(format!("got {got:?}\n want {want:?}"));
        }
    }
    if got.len() != want.len() {
        let (first_got, first_want) = (got.get(want.len()), want.get(got.len()));
        return Err(format!(
            "{} records of {}: {first_got:?} {first_want:?}",
            got.len(),
            want.len()
        ));
    }
    check.check_pieces(model)?;
    Ok(verdict)
}

/// Checks that `got` is `want` without so many of its records.
fn is_sample(got: &[Whole], want: &[Whole], left_out: usize) -> Result<(), String> {
    if got.len() + left_out != want.len() {
        return Err(format!("{} records, and {left_out} left out, of {}", got.len(), want.len()));
    }
    let mut rest = want.iter();
    match got.iter().find(|it| !rest.any(|want| want == *it)) {
        Some(strange) => Err(format!("is not in its place in the file: {strange:?}")),
        None => Ok(()),
    }
}

#[derive(Debug)]
struct Check {
    files: Vec<File>,
    /// By key of a generation, the file it is one of.
    by_key: HashMap<u64, usize>,
    read: Read,
    /// By file: bytes declared missing.
    declared: Vec<u64>,
    /// By file, the life of the source's that read of it last.
    sources: Vec<Option<u32>>,
    /// Generations of which a gap of unknown size has said that they are gone, and which were not read since.
    gone: HashSet<u64>,
    /// By file and life, the life that it goes on from: what a power cut left of it.
    roots: Vec<Vec<usize>>,
    /// Declared so far.
    holes: u32,
    cursor: u64,
    runs: Vec<Run>,
    /// What a limit passed over.
    shed: Vec<Run>,
    pieces: Vec<Delivered>,
    verdict: Verdict,
}

impl Check {
    fn new(world: &World) -> Check {
        let files = world.files();
        let keys = files.iter().enumerate().flat_map(|(number, file)| {
            (0..INCARNATIONS_MAX).map(move |it| (generation_key(file.id, it), number))
        });
        Check {
            by_key: keys.collect(),
            read: order::nothing_read(world),
            declared: vec![0; files.len()],
            sources: vec![None; files.len()],
            roots: files.iter().map(|it| (0..it.lives.len()).collect()).collect(),
            gone: HashSet::new(),
            files,
            holes: 0,
            cursor: 0,
            runs: Vec::new(),
            shed: Vec::new(),
            pieces: Vec::new(),
            verdict: Verdict::default(),
        }
    }

    /// The next delivery, by cursor.
    fn take(&mut self, delivery: &Delivery) -> Result<(), String> {
        if delivery.span.is_empty() {
            return self.unsized_gap(delivery);
        }
        for position in &delivery.positions {
            self.gone.remove(&position.generation);
        }
        if delivery.span.begin != self.cursor {
            return Err(format!("begins at {}, not at {}", delivery.span.begin, self.cursor));
        }
        self.cursor = delivery.span.end;
        match delivery.gap {
            Some(reason @ (GapReason::Shed | GapReason::SpoolFull)) => {
                return self.passed_over(delivery, reason);
            }
            Some(GapReason::SparseHole) => return self.hole(delivery),
            _ => {}
        }
        if let Some(reason) = delivery.gap {
            return self.gap(delivery, reason);
        }
        let runs = self.runs_of(delivery)?;
        for (cursor, flags, body) in &delivery.records {
            let holds =
                |run: &&Run| (run.cursor..run.cursor + run.bytes.len() as u64).contains(cursor);
            let run = runs.iter().find(holds).ok_or("a record outside of its span")?;
            self.pieces.push(Delivered {
                cursor: *cursor,
                flags: *flags,
                body: body.clone(),
                place: run.place,
                holes: self.holes,
            });
        }
        self.runs.extend(runs);
        Ok(())
    }

    /// The bytes of a delivery, by what its positions say.
    fn runs_of(&mut self, delivery: &Delivery) -> Result<Vec<Run>, String> {
        // Those before were passed over.
        let own = own_positions(&delivery.positions);
        if let [position] = own {
            self.go_on_in_what_is_left(delivery, *position);
        }
        let mut cursor = delivery.span.begin;
        let mut runs = Vec::new();
        for position in own {
            let run = self.run(delivery, *position, cursor)?;
            cursor += run.bytes.len() as u64;
            runs.push(run);
        }
        if cursor != delivery.span.end {
            return Err(format!("positions account for {} bytes", cursor - delivery.span.begin));
        }
        Ok(runs)
    }

    /// What a position says was read of its generation, since the one before.
    fn run(&mut self, delivery: &Delivery, to: Position, cursor: u64) -> Result<Run, String> {
        let number = *self.by_key.get(&to.generation).ok_or("a generation of no file")?;
        self.go_on_in_older_ones(number, delivery.at_ns);
        let file = &self.files[number];
        let place = (number, file.life_at(delivery.at_ns));
        let (life, from) = (&file.lives[place.1], self.read[number][place.1]);
        let ends = to.offset >= from && to.offset <= life.len_at(delivery.at_ns);
        if !ends {
            let len = life.len_at(delivery.at_ns);
            return Err(format!("{place:?} of {len} bytes read from {from} to {}", to.offset));
        }
        order::check(&self.files, &self.read, number, delivery.at_ns)?;
        let range = index(from)..index(to.offset);
        let bytes = life.bytes[range].to_vec();
        let is_behind_nul = life.bytes[..index(from)].ends_with(b"\0");
        self.read[number][place.1] = to.offset;
        self.sources[number] = Some(delivery.source);
        self.verdict.bytes += bytes.len() as u64;
        let place = (number, self.roots[number][place.1]);
        let (source, holes) = (delivery.source, self.holes);
        Ok(Run { place, offset: from, cursor, source, holes, is_behind_nul, bytes })
    }

    /// Something is missing, and nobody knows how much: of the file that was read last before the start,
    /// or of one that was closed when the watch said that it was written to, whether it was or not.
    fn unsized_gap(&mut self, delivery: &Delivery) -> Result<(), String> {
        let [position, ..] = delivery.positions[..] else {
            return Err("a gap of unknown size, of no generation".into());
        };
        let number = *self.by_key.get(&position.generation).ok_or("a generation of no file")?;
        let file = &self.files[number];
        if file.lost.is_none_or(|lost| lost.at_ns() > delivery.at_ns) {
            return Err(format!("a gap of unknown size of file {number}, which is there"));
        }
        if !self.gone.insert(position.generation) {
            return Err(format!("a gap of unknown size of file {number}, once more"));
        }
        Ok(())
    }

    /// A limit, or a full spool, let it go: it was there, and its place is known to the byte.
    fn passed_over(&mut self, delivery: &Delivery, reason: GapReason) -> Result<(), String> {
        let runs = self.runs_of(delivery)?;
        let bytes = delivery.span.bytes();
        self.verdict.bytes -= bytes;
        self.verdict.gap_bytes += bytes;
        if reason == GapReason::Shed {
            self.shed.extend(runs);
            self.verdict.shed_bytes += bytes;
        } else {
            self.verdict.released_bytes += bytes;
        }
        Ok(())
    }

    fn gap(&mut self, delivery: &Delivery, reason: GapReason) -> Result<(), String> {
        let [position, ..] = delivery.positions[..] else {
            return Err("a gap of no generation".into());
        };
        let number = *self.by_key.get(&position.generation).ok_or("a generation of no file")?;
        let file = &self.files[number];
        let is_true = match reason {
            GapReason::Truncated => file.life_at(delivery.at_ns) > 0,
            // Which of them, other files of the chain, the errors before and the other tenants decide; the
            // model does not.
            GapReason::RemovedUnread
            | GapReason::RotatedBeforeRead
            | GapReason::PinnedBudget
            | GapReason::Unreadable => file.lost.is_some_and(|it| it.at_ns() <= delivery.at_ns),
            _ => false,
        };
        if !is_true {
            return Err(format!("file {number} gave no reason for {reason}"));
        }
        self.declared[number] += delivery.span.bytes();
        self.verdict.gap_bytes += delivery.span.bytes();
        Ok(())
    }

    /// What is missing of each file, against what was declared of it.
    fn account(&self) -> Result<Verdict, String> {
        let mut verdict = self.verdict;
        for (number, file) in self.files.iter().enumerate() {
            let (mut must, mut may, mut missing) = (0, 0, 0);
            for (index, life) in file.lives.iter().enumerate() {
                let (own, read) = (self.read[number][index], self.read_of(number, index));
                // A length may be told of one life and taken for the one before.
                let told_next = file.lives.get(index + 1).map_or(0, |next| next.told_ever);
                must += due(file, index).saturating_sub(read.max(disk::filled(file, index)));
                let known = if self.is_replaced(number, index) { own } else { read };
                may += life.len().max(told_next).saturating_sub(known);
                missing += life.len() - read;
            }
            let declared = self.declared[number];
            if declared < must || declared > may {
                let read = &self.read[number];
                return Err(format!(
                    "file {number}: {declared} bytes declared missing, between {must} and {may} are; \
                     read {read:?}; {}",
                    describe(file)
                ));
            }
            verdict.unknown_bytes += u64::saturating_sub(missing, declared);
        }
        Ok(verdict)
    }

    /// Each piece is as long as the limit wants it.
    fn check_pieces(&self, model: &Model) -> Result<(), String> {
        for piece in &self.pieces {
            // Container lines are cut where their parts end, too.
            let is_cut = piece.flags.has(RecordFlags::PART) && model.format == Format::Plain;
            let len = piece.body.len();
            if len > model.line_bytes_max || is_cut && len != model.line_bytes_max {
                return Err(format!("a piece of {len} bytes: {piece:?}"));
            }
        }
        Ok(())
    }
}

/// How many of a life's bytes must be delivered or declared missing, in the end.
fn due(file: &File, index: usize) -> u64 {
    let life = &file.lives[index];
    // Of what is gone, as much as the agent was told of, if it could know whose length that was.
    let told = if life.is_met { life.told } else { 0 };
    let lost = file.lost.filter(|lost| file.life_at(lost.at_ns()) <= index);
    match lost {
        None if index + 1 == file.lives.len() => life.len(),
        None | Some(Lost::Unheld { .. }) => told,
        Some(Lost::LetGo { at_ns, len }) if at_ns >= life.begun_ns => len,
        // Written, or begun, when nobody could know of it any more.
        Some(Lost::LetGo { .. } | Lost::Died { .. }) => 0,
    }
}

/// A file without its content, for messages.
fn describe(file: &File) -> String {
    let lives: Vec<_> =
        file.lives.iter().map(|it| (it.begun_ns, it.len(), it.told, it.is_met)).collect();
    format!("born as {}, lost {:?}, lives {lives:?}", file.born_as.display(), file.lost)
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a file in memory")
}
