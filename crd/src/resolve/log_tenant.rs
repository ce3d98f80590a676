//! Tenants: their namespaces and their memory.

use crate::document::is_dns_name;
use crate::globs::Against;
use crate::report::Check;
use crate::settings::{MemorySettings, TenantSettings};
use crate::spec::{LogTenantSpec, MemorySpec};
use crate::units::ByteSize;
use crate::{defaults, limits};

/// What a name of a tenant may be.
pub(super) const TENANT_CURE: &str = "write 1 to 63 lower-case letters, digits, - and .";

pub(super) fn resolve(
    spec: LogTenantSpec,
    chunk: Option<ByteSize>,
    check: &mut Check<'_>,
) -> Option<TenantSettings> {
    let name = check.document.name.clone();
    if !name.is_empty() && !is_tenant(&name) && is_dns_name(&name, limits::NAME_CHARS_MAX) {
        check.error("metadata.name", "too long for a tenant", TENANT_CURE);
    }
    let namespaces = check.globs("spec.namespaces", spec.namespaces, &[], Against::Names);
    let memory = memory(&spec.memory.unwrap_or_default(), chunk, check);
    Some(TenantSettings { name, namespaces, memory })
}

/// Whether `name` can be the name of a tenant.
pub(super) fn is_tenant(name: &str) -> bool {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    !name.is_empty()
        && name.len() <= limits::TENANT_CHARS_MAX
        && name.chars().all(is_good)
        && !name.chars().all(|c| c == '.')
}

/// The memory of a tenant nobody wrote about, where chunks have `chunk` bytes.
pub(super) fn memory_of_others(chunk: ByteSize) -> MemorySettings {
    let reserved = defaults::TENANT_RESERVED.max(chunk);
    let max = defaults::TENANT_MAX.max(reserved);
    MemorySettings { reserved_bytes: reserved.as_usize(), max_bytes: max.as_usize() }
}

fn memory(spec: &MemorySpec, chunk: Option<ByteSize>, check: &mut Check<'_>) -> MemorySettings {
    let (reserved_path, max_path) = ("spec.memory.reserved", "spec.memory.max");
    let default_reserved = defaults::TENANT_RESERVED.max(chunk.unwrap_or(defaults::CHUNK_BYTES));
    // A small maximum alone makes the reserve small too.
    let default_reserved = spec.max.map_or(default_reserved, |max| default_reserved.min(max));
    let reserved =
        check.ranged(reserved_path, spec.reserved, default_reserved, &limits::TENANT_RESERVED);
    let default_max = defaults::TENANT_MAX.max(reserved);
    let max = check.ranged(max_path, spec.max, default_max, &limits::TENANT_MAX);
    let is_known = !check.document.is_broken("spec.memory");
    if is_known && max < reserved {
        let cure = format!("write at least {reserved}, or a smaller memory.reserved");
        check.error(max_path, &format!("below the reserve of {reserved}"), &cure);
    } else if let Some(chunk) = chunk.filter(|&chunk| is_known && reserved < chunk) {
        let path = if spec.reserved.is_some() { reserved_path } else { max_path };
        let cure = format!("write at least {chunk}, or a smaller chunkBytes for the Agent");
        check.error(path, &format!("below the Agent's chunkBytes of {chunk}"), &cure);
    }
    MemorySettings { reserved_bytes: reserved.as_usize(), max_bytes: max.as_usize() }
}
