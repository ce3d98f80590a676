//! Multiline: which lines become one record, as the data plane wants to know it.

use crd::{MultilinePreset, MultilineRule, MultilineSettings};
use flow::nanoseconds;
use pipeline::frame::multiline::{Multiline, Pattern, Rule};

pub(super) fn of(settings: &MultilineSettings) -> Multiline {
    let pattern = |it: &crd::Pattern| Pattern::new(it.regex().clone());
    let rule = match &settings.rule {
        MultilineRule::Begin(it) => Rule::Begin(pattern(it)),
        MultilineRule::Continue(it) => Rule::Continue(pattern(it)),
        MultilineRule::End(it) => Rule::End(pattern(it)),
        MultilineRule::Preset(MultilinePreset::Java) => Rule::Java,
        MultilineRule::Preset(MultilinePreset::Python) => Rule::Python,
        MultilineRule::Preset(MultilinePreset::Go) => Rule::Go,
    };
    Multiline {
        rule,
        timeout_ns: nanoseconds(settings.timeout),
        lines_max: settings.lines_max,
        bytes_max: u32::try_from(settings.bytes_max).unwrap_or(u32::MAX),
    }
}
