//! What must hold between tenants and what they share: no namespace is of two of them, none has more than
//! there is, and none is collected into a sink that it may not use.

use super::{Resolved, rate};
use crate::defaults;
use crate::document::Document;
use crate::globs::{Overlaps, Shared, literal};
use crate::report::{Check, Report};
use crate::settings::{AgentSettings, AtLimit, LogConfigSettings, SourceSettings, TenantSettings};
use crate::units::ByteSize;

/// No two LogTenants have globs that match the same namespace.
pub(super) fn check_namespaces(tenants: &[Resolved<TenantSettings>], report: &mut Report) {
    let mut globs = Overlaps::default();
    for (number, tenant) in tenants.iter().enumerate() {
        for (index, pattern) in tenant.settings.namespaces.patterns().iter().enumerate() {
            let Some(overlap) = globs.add(number, pattern) else { continue };
            let check = &mut Check { document: &tenant.document, report };
            let owner = tenants[overlap.owner].document.title();
            let pattern = overlap.pattern;
            let (why, cure) = match overlap.shared {
                Shared::All => (format!("{owner} has the same"), "give it to one of them only"),
                Shared::Name(name) => {
                    let why = format!("`{pattern}` of {owner} matches the namespace {name} too");
                    (why, "write globs of which no two match the same")
                }
                Shared::Unknown => {
                    let why =
                        format!("whether it meets `{pattern}` of {owner} takes too long to tell");
                    (why, "write shorter globs")
                }
            };
            check.error(&format!("spec.namespaces[{index}]"), &why, cure);
        }
    }
}

/// No tenant has more of a thing than the agent.
pub(super) fn check_shares(
    agent: &AgentSettings,
    document: Option<&Document>,
    tenants: &[Resolved<TenantSettings>],
    report: &mut Report,
) {
    let is_known = |path| !document.is_some_and(|it| it.is_broken(path));
    for tenant in tenants {
        let it = &tenant.settings;
        let check = &mut Check { document: &tenant.document, report };
        let mut within = |path: &str, of: &str, value: Option<u64>, most: u64, is_size: bool| {
            let show = |it| if is_size { ByteSize(it).to_string() } else { u64::to_string(&it) };
            let Some(value) = value else { return };
            if value > most && !check.document.is_broken(path) {
                let cure = format!("write at most {}, or more there", show(most));
                check.error(path, &format!("beyond the {} of {of}", show(most)), &cure);
            }
        };
        if is_known("spec.pinnedBytesMax") {
            let (of, most) = ("the Agent's pinnedBytesMax", agent.pinned_bytes_max);
            within("spec.pinnedBytes", of, it.pinned_bytes_max, most, true);
        }
        if is_known("spec.openFilesMax") {
            let (of, most) = ("the Agent's openFilesMax", agent.open_files_max as u64);
            let value = it.open_files_max.map(|it| it as u64);
            within("spec.openFiles", of, value, most, false);
        }
        let in_flight = it.in_flight_bytes_max.map(|it| it as u64);
        if !tenant.document.is_broken("spec.memory") {
            let most = it.memory.max_bytes as u64;
            within("spec.inFlightBytes", "its memory.max", in_flight, most, true);
        }
        match &agent.spool {
            _ if !is_known("spec.spool") => {}
            Some(spool) => {
                let of = "the Agent's spool.bytes";
                within("spec.spoolBytes", of, it.spool_bytes_max, spool.bytes_max, true);
            }
            None => check_without_spool(it, check),
        }
    }
}

/// A tenant cannot use a spool that the agent does not have.
fn check_without_spool(tenant: &TenantSettings, check: &mut Check<'_>) {
    let uses = [
        ("spec.spoolBytes", tenant.spool_bytes_max.is_some()),
        ("spec.limits.atLimit", tenant.limits.at_limit == AtLimit::Spool),
    ];
    for (path, is_used) in uses {
        if is_used && !check.document.is_broken(path) {
            check.error(path, "the Agent has no spool", "write `spool: {}` for the Agent");
        }
    }
}

/// No limit is beyond the node's.
pub(super) fn check_rates(
    agent: &AgentSettings,
    document: Option<&Document>,
    tenants: &[Resolved<TenantSettings>],
    configs: &[Resolved<LogConfigSettings>],
    report: &mut Report,
) {
    let (node, whose) = (&agent.limits, "the Agent");
    if document.is_some_and(|it| it.is_broken("spec.limits")) {
        return;
    }
    for tenant in tenants {
        let check = &mut Check { document: &tenant.document, report };
        rate::check_within("spec.limits", &tenant.settings.limits.rate, node, whose, check);
    }
    for config in configs {
        let limits = &config.settings.limits;
        let check = &mut Check { document: &config.document, report };
        rate::check_within("spec.limits", &limits.rate, node, whose, check);
        rate::check_within("spec.limits.perContainer", &limits.per_container, node, whose, check);
    }
}

/// No LogConfig sends what is known to be of a tenant to a sink or topic that the tenant may not use. Whose
/// namespaces are not known before they are there is decided when they are.
pub(super) fn check_allowed(
    tenants: &[Resolved<TenantSettings>],
    configs: &[Resolved<LogConfigSettings>],
    report: &mut Report,
) {
    let is_sure = |it: &Resolved<TenantSettings>| {
        let fields = ["spec.sinks", "spec.topics", "spec.namespaces"];
        !fields.iter().any(|field| it.document.is_broken(field))
    };
    for config in configs {
        let LogConfigSettings { sink, topic, .. } = &config.settings;
        let refuses =
            |it: &&Resolved<TenantSettings>| is_sure(it) && !it.settings.may_go(&config.settings);
        for tenant in tenants.iter().filter(refuses) {
            let Some(whose) = certain(&config.settings, &tenant.settings, tenants) else {
                continue;
            };
            let check = &mut Check { document: &config.document, report };
            let title = tenant.document.title();
            let (path, what, list, name) = match topic {
                Some(topic) if tenant.settings.may_use(sink) => {
                    ("spec.topic", "name the topic", "topics", topic)
                }
                _ => ("spec.sink", "use the LogSink", "sinks", sink),
            };
            if check.document.is_broken(path) {
                continue;
            }
            let why = format!("{title} may not {what} {name}, and {whose} is its own");
            let cure = format!("name one of its `{list}`, or add {name} to them");
            check.error(path, &why, &cure);
        }
    }
}

/// What of a LogConfig is certain to be of the tenant, if anything is.
fn certain(
    config: &LogConfigSettings,
    tenant: &TenantSettings,
    tenants: &[Resolved<TenantSettings>],
) -> Option<String> {
    let owner = config.tenant.as_deref();
    match &config.source {
        _ if owner.is_some() => {
            (owner == Some(&tenant.name)).then(|| "what it collects".to_owned())
        }
        SourceSettings::Files(_) => {
            (tenant.name == defaults::TENANT).then(|| "what it collects".to_owned())
        }
        SourceSettings::Containers(it) => {
            let selector = &it.namespaces;
            let mut names = selector.include.patterns().iter().filter_map(|it| literal(it));
            let name = names.find(|&name| {
                let may_have = |it: &TenantSettings| {
                    it.namespaces.matches(name) || it.namespace_selector.is_some()
                };
                let of_another = || tenants.iter().any(|it| may_have(&it.settings));
                let is_own = tenant.namespaces.matches(name)
                    || tenant.name == name && tenant.is_of_its_name() && !of_another();
                !selector.exclude.matches(name) && is_own
            })?;
            Some(format!("namespace {name}"))
        }
    }
}
