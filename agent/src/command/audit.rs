//! `logferry audit`: proves from a queue or a topic alone that nothing was lost or doubled.
//!
//! The spans of a context must tile its cursors: each begins where the one before ended. Declared
//! gaps are part of the tiling and are counted apart. Unless told otherwise, every block is opened
//! too, and its records are held against the header.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use flow::{Encoding, SystemClock};
use sink::kafka::{TopicMessage, TopicReader};
use sink::queue::QueueReader;
use sink::queue::audit::{Audit, AuditReport, ContextAudit, Head};

use super::{queue, topic};
use crate::cli::{AuditOptions, Output};
use crate::exit::{Exit, Failure, Outcome};

/// Most damaged messages that are told of one by one; all are counted.
const DAMAGED_SHOWN_MAX: u64 = 100;

pub(crate) fn run(options: &AuditOptions) -> Outcome {
    let findings = match topic::open(&options.place) {
        Some(reader) => audit_topic(options, reader?)?,
        None => audit_queue(options)?,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let is_clean = findings.is_clean();
    match options.output {
        Output::Json => writeln!(out, "{}", findings.to_json())?,
        Output::Text => text(&mut out, &findings)?,
    }
    out.flush()?;
    Ok(if is_clean { Exit::Done } else { Exit::Bad })
}

/// What was found.
#[derive(Debug, Default)]
struct Findings {
    /// By tenant.
    reports: Vec<(String, AuditReport)>,
    /// Messages of a topic that somebody else wrote.
    foreign: u64,
    /// Messages that say to be ours, and cannot be understood.
    damaged: u64,
}

impl Findings {
    fn is_clean(&self) -> bool {
        self.damaged == 0 && self.reports.iter().all(|(_, report)| report.is_clean())
    }

    fn to_json(&self) -> serde_json::Value {
        let tenants = self.reports.iter().map(|(name, it)| (name.clone(), it.to_json()));
        let tenants: serde_json::Map<_, _> = tenants.collect();
        serde_json::json!({
            "clean": self.is_clean(),
            "tenants": tenants,
            "foreign_messages": self.foreign,
            "damaged_messages": self.damaged,
        })
    }
}

fn audit_queue(options: &AuditOptions) -> Result<Findings, Failure> {
    let reader = queue::open(&options.place)?;
    let mut reports = Vec::new();
    for tenant in queue::tenants(&reader, options.tenant.as_deref())? {
        let report = audit(&reader, &tenant, !options.headers_only)?;
        reports.push((tenant, report));
    }
    Ok(Findings { reports, ..Findings::default() })
}

fn audit_topic(options: &AuditOptions, mut reader: TopicReader) -> Result<Findings, Failure> {
    let first_sequence = u64::from(reader.is_trimmed());
    let mut audits: BTreeMap<String, Audit> = BTreeMap::new();
    let mut findings = Findings::default();
    let each = |message: TopicMessage<'_>| {
        let section = match message {
            TopicMessage::Section(section) => section,
            TopicMessage::Foreign => {
                findings.foreign += 1;
                return;
            }
            TopicMessage::Damaged(what) => {
                findings.damaged += 1;
                if findings.damaged <= DAMAGED_SHOWN_MAX {
                    topic::warn(&what);
                }
                return;
            }
        };
        let header = &section.header;
        let tenant = &*header.context.tenant;
        if options.tenant.as_deref().is_some_and(|it| it != tenant) {
            return;
        }
        let audit = match audits.get_mut(tenant) {
            Some(audit) => audit,
            None => audits.entry(tenant.to_owned()).or_insert_with(|| Audit::new(first_sequence)),
        };
        audit.observe_in(section.partition, header);
        // A record's bytes alone have no cursor.
        if !options.headers_only && section.encoding != Encoding::Raw {
            match section.body() {
                Ok(body) => audit.observe_body(header, section.encoding, &body, &mut decode),
                Err(error) => audit.observe_fault(header, &error.to_string()),
            }
        }
    };
    reader.read(&SystemClock, each).map_err(Failure::unusable)?;
    let reports = audits.into_iter().map(|(tenant, audit)| (tenant, audit.finish()));
    findings.reports = reports.collect();
    Ok(findings)
}

/// Cursors of a body's records.
fn decode(encoding: Encoding, body: &[u8], out: &mut Vec<u64>) -> Result<(), String> {
    let cursors = sink::decode::cursors(encoding, body).map_err(|it| it.to_string())?;
    out.extend(cursors);
    Ok(())
}

fn audit(reader: &QueueReader, tenant: &str, with_bodies: bool) -> Result<AuditReport, Failure> {
    let first_sequence = reader.first_sequence(tenant).map_err(Failure::unusable)?;
    let mut audit = Audit::new(first_sequence);
    for item in reader.scan(tenant).map_err(Failure::unusable)? {
        match item {
            Ok(batch) if with_bodies => audit.observe_batch(&batch, Some(&mut decode)),
            Ok(batch) => audit.observe_batch(&batch, None),
            Err(problem) => audit.observe_problem(&problem),
        }
    }
    Ok(audit.finish())
}

fn text(out: &mut impl Write, findings: &Findings) -> io::Result<()> {
    let reports = &findings.reports;
    writeln!(
        out,
        "{:>12} {:>14} {:>9} {:>8} {:>8}  context",
        "records", "bytes", "gaps", "lost", "doubled"
    )?;
    for (_, report) in reports {
        for it in &report.contexts {
            let (records, bytes, gaps) = (it.records, it.bytes, it.gaps.bytes());
            write!(out, "{records:>12} {bytes:>14} {gaps:>9} {:>8} {:>8}  ", it.lost, it.doubled)?;
            writeln!(out, "{}{}", it.context, remarks(it))?;
        }
    }
    let sum = |of: fn(&ContextAudit) -> u64| -> u64 {
        reports.iter().map(|(_, report)| report.total(of)).sum()
    };
    for (tenant, report) in reports {
        for line in report.fault_texts.iter().chain(&report.problem_texts) {
            writeln!(out, "tenant {tenant}: {line}")?;
        }
    }
    if findings.foreign > 0 {
        writeln!(out, "{} messages that somebody else wrote", findings.foreign)?;
    }
    if findings.damaged > 0 {
        writeln!(out, "{} messages that cannot be understood", findings.damaged)?;
    }
    let contexts: usize = reports.iter().map(|(_, report)| report.contexts.len()).sum();
    let faults: u64 = reports.iter().map(|(_, report)| report.faults + report.problems).sum();
    writeln!(
        out,
        "{contexts} contexts, {} records, {} bytes, {} bytes in declared gaps: lost {}, doubled {}, \
         misordered {}, faults {faults}",
        sum(|it| it.records),
        sum(|it| it.bytes),
        sum(|it| it.gaps.bytes()),
        sum(|it| it.lost),
        sum(|it| it.doubled),
        sum(|it| it.misordered),
    )
}

fn remarks(it: &ContextAudit) -> String {
    let mut remarks = Vec::new();
    match it.head {
        Head::Missing => remarks.push("its head is missing".to_owned()),
        Head::Trimmed => remarks.push("its head was removed by retention".to_owned()),
        Head::Present => {}
    }
    if it.misordered > 0 {
        remarks.push(format!("{} sections out of order", it.misordered));
    }
    if it.filtered > 0 {
        remarks.push(format!("{} records filtered", it.filtered));
    }
    for (reason, gaps) in it.gaps.each() {
        let (count, bytes) = (gaps.count, gaps.bytes);
        remarks.push(match bytes {
            0 => format!("{count} gaps {reason} of unknown size"),
            _ => format!("{count} gaps {reason} of {bytes} bytes"),
        });
    }
    if it.ended {
        remarks.push("ended".to_owned());
    }
    if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join(", ")) }
}
