//! Show: chains, and their files now, piece by piece to who asks for them.

use std::ffi::{OsStr, OsString};
use std::ops::Bound;

use flow::is_mutant;

use super::{Around, Walk};
use crate::discovery::folder::join;
use crate::discovery::look::{SMALL_MAX, look};
use crate::reader::{ChainPlace, ChainsAsked, Shown};

impl Walk {
    /// The next of the chains that are asked for, and their files now: their readers are told before, so that what
    /// somebody was told is there can be declared once it is gone.
    ///
    /// Each question begins behind the last one's end, so that all of them together go over each chain once.
    pub(in crate::discovery) fn show(
        &mut self,
        around: &mut Around<'_>,
        asked: &ChainsAsked,
        shown: &mut Shown,
    ) {
        let begin = asked.after.as_ref();
        if shown.next.is_some() || begin.is_some_and(|it| it.rule > around.number) {
            return;
        }
        let begin = begin.filter(|it| it.rule == around.number);
        let mut number = begin.map_or(0, |it| it.folder);
        while let Some((directory, folder)) = self.folders.at_or_behind(number) {
            let after = begin.filter(|it| it.folder == folder.number).map(|it| &*it.base);
            number = folder.number;
            let is_small = folder.chains.len() <= SMALL_MAX;
            let mut gone: Vec<OsString> = Vec::new();
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            for (base, chain) in folder.chains.range_mut::<OsStr, _>((from, Bound::Unbounded)) {
                shown.passed += 1;
                if chain.told == 0 || !asked.has(chain.context) {
                    continue;
                }
                // Before it may be gone, and with it whose it was.
                let spec = around.outlet.spec(around.rule, &join(&directory, base));
                let opened = around.outlet.none_opened();
                let files = if is_mutant("shown_and_not_told") {
                    chain.files(around.fs, &mut around.outlet.refusals, &directory, base).0
                } else {
                    look(around, &directory, base, chain, is_small, opened)
                };
                if files.is_empty() {
                    gone.push(base.to_os_string());
                }
                shown.chains.extend(spec.map(|spec| (spec, files)));
                if shown.chains.len() >= asked.max {
                    let base = base.to_os_string();
                    shown.next = Some(ChainPlace { rule: around.number, folder: number, base });
                    break;
                }
            }
            shown.is_changed |= !gone.is_empty();
            gone.iter().for_each(|base| folder.remove(base));
            if shown.next.is_some() {
                return;
            }
            number += 1;
        }
    }
}
