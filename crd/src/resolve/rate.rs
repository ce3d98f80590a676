//! Rates: of the node, a tenant, a LogConfig or a container alike.

use crate::report::Check;
use crate::settings::RateSettings;
use crate::spec::RateSpec;
use crate::units::{ByteSize, Period};
use crate::{defaults, limits};

/// The rate that is written at `path`.
pub(super) fn resolve(path: &str, spec: &RateSpec, check: &mut Check<'_>) -> RateSettings {
    let bytes_path = format!("{path}.bytesPerSecond");
    let bytes = spec.bytes_per_second;
    let bytes = bytes.map(|it| check.ranged(&bytes_path, Some(it), it, &limits::BYTES_PER_SECOND));
    let records_path = format!("{path}.recordsPerSecond");
    let records = spec.records_per_second;
    let records =
        records.map(|it| check.ranged(&records_path, Some(it), it, &limits::RECORDS_PER_SECOND));
    let burst_path = format!("{path}.burst");
    let burst = check.ranged(&burst_path, spec.burst, defaults::BURST, &limits::BURST);
    let is_limited = bytes.is_some() || records.is_some();
    if spec.burst.is_some() && !is_limited && !check.document.is_broken(path) {
        let cure = "write bytesPerSecond or recordsPerSecond beside it, or remove it";
        check.error(&burst_path, "of no limit", cure);
    }
    RateSettings {
        bytes_per_second: bytes.map(|it| it.0),
        records_per_second: records.map(u64::from),
        // Where nothing is limited, equal settings are equal.
        burst: if is_limited { burst } else { defaults::BURST }.duration(),
    }
}

/// Complains if the rate at `path` is above that of `whose`, and so would never be reached.
pub(super) fn check_within(
    path: &str,
    rate: &RateSettings,
    outer: &RateSettings,
    whose: &str,
    check: &mut Check<'_>,
) {
    let sides = [
        ("bytesPerSecond", rate.bytes_per_second, outer.bytes_per_second),
        ("recordsPerSecond", rate.records_per_second, outer.records_per_second),
    ];
    for (field, inner, outer) in sides {
        let path = format!("{path}.{field}");
        let (Some(inner), Some(outer)) = (inner, outer) else { continue };
        if inner > outer && !check.document.is_broken(&path) {
            let outer = match field {
                "bytesPerSecond" => ByteSize(outer).to_string(),
                _ => outer.to_string(),
            };
            let cure = format!("write at most {outer}, or more there");
            check.error(&path, &format!("beyond the {outer} of {whose}"), &cure);
        }
    }
}

/// The rate of nobody who wrote one.
pub(super) fn unlimited() -> RateSettings {
    let burst = Period::duration(defaults::BURST);
    RateSettings { bytes_per_second: None, records_per_second: None, burst }
}
