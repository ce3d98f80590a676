//! Which lines become one record.

use crate::report::Check;
use crate::settings::{LineSettings, MultilineRule, MultilineSettings};
use crate::spec::MultilineSpec;
use crate::units::ByteSize;
use crate::{Pattern, defaults, limits};

const PATH: &str = "spec.multiline";
const RULE_CURE: &str = "write exactly one of `begin`, `continue`, `end` and `preset`";

pub(super) fn resolve(
    spec: MultilineSpec,
    line: &LineSettings,
    check: &mut Check<'_>,
) -> Option<MultilineSettings> {
    let timeout = check.ranged(
        &format!("{PATH}.timeout"),
        spec.timeout,
        defaults::MULTILINE_TIMEOUT,
        &limits::MULTILINE_TIMEOUT,
    );
    let lines_max = check.ranged(
        &format!("{PATH}.maxLines"),
        spec.max_lines,
        defaults::MULTILINE_LINES,
        &limits::MULTILINE_LINES,
    );
    let bytes_max = bytes_max(spec.max_bytes, line, check);
    let rule = rule(spec, check)?;
    let timeout = timeout.duration();
    Some(MultilineSettings { rule, timeout, lines_max, bytes_max })
}

fn bytes_max(written: Option<ByteSize>, line: &LineSettings, check: &mut Check<'_>) -> usize {
    let path = format!("{PATH}.maxBytes");
    let line_max = ByteSize(line.bytes_max as u64);
    let default = defaults::MULTILINE_BYTES.min(line_max);
    let bytes = check.ranged(&path, written, default, &limits::MULTILINE_BYTES);
    if bytes > line_max {
        let cure = format!("write at most {line_max}, or a larger line.maxBytes");
        check.error(&path, &format!("above line.maxBytes, which is {line_max}"), &cure);
    }
    bytes.as_usize()
}

fn rule(spec: MultilineSpec, check: &mut Check<'_>) -> Option<MultilineRule> {
    type Make = fn(Pattern) -> MultilineRule;
    let patterns: [(&str, Option<String>, Make); 3] = [
        ("begin", spec.begin, MultilineRule::Begin),
        ("continue", spec.continues, MultilineRule::Continue),
        ("end", spec.end, MultilineRule::End),
    ];
    let mut first: Option<&str> = None;
    let mut rule = None;
    for (name, written, make) in patterns {
        let Some(text) = written else { continue };
        if is_alone(name, first, check) {
            rule = pattern(&format!("{PATH}.{name}"), &text, check).map(make);
            first = Some(name);
        }
    }
    if let Some(preset) = spec.preset
        && is_alone("preset", first, check)
    {
        return Some(MultilineRule::Preset(preset));
    }
    let is_broken = |name: &&str| check.document.is_broken(&format!("{PATH}.{name}"));
    if first.is_none() && !["begin", "continue", "end", "preset"].iter().any(is_broken) {
        check.missing(PATH, RULE_CURE);
    }
    rule
}

fn is_alone(name: &str, first: Option<&str>, check: &mut Check<'_>) -> bool {
    if let Some(first) = first {
        check.error(&format!("{PATH}.{name}"), &format!("beside {PATH}.{first}"), RULE_CURE);
    }
    first.is_none()
}

/// The regular expression written at `path`.
pub(super) fn pattern(path: &str, text: &str, check: &mut Check<'_>) -> Option<Pattern> {
    if text.is_empty() || text.len() > limits::PATTERN_BYTES_MAX {
        let cure = format!("write 1 to {} bytes", limits::PATTERN_BYTES_MAX);
        check.error(path, "empty or too long", &cure);
        return None;
    }
    match Pattern::new(text) {
        Ok(pattern) => Some(pattern),
        Err(why) => {
            let cure = "mend it, or write a smaller one; https://docs.rs/regex has the syntax";
            check.error(path, &format!("bad regular expression: {why}"), cure);
            None
        }
    }
}
