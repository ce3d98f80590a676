//! `logferry audit`: proves from the queue alone that nothing was lost or doubled.
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

use super::queue;
use crate::cli::{AuditOptions, Output};
use crate::exit::{Exit, Failure, Outcome};

pub(crate) fn run(options: &AuditOptions) -> Outcome {
    let reports = match (&options.kafka, &options.topic) {
        (Some(brokers), Some(topic)) => audit_topic(options, brokers, topic)?,
        _ => audit_queue(options)?,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let is_clean = reports.iter().all(|(_, report)| report.is_clean());
    match options.output {
        Output::Json => {
            let tenants = reports.iter().map(|(name, it)| (name.clone(), it.to_json()));
            let tenants: serde_json::Map<_, _> = tenants.collect();
            writeln!(out, "{}", serde_json::json!({ "clean": is_clean, "tenants": tenants }))?;
        }
        Output::Text => text(&mut out, &reports)?,
    }
    out.flush()?;
    Ok(if is_clean { Exit::Done } else { Exit::Bad })
}

/// By tenant.
type Reports = Vec<(String, AuditReport)>;

fn audit_queue(options: &AuditOptions) -> Result<Reports, Failure> {
    let reader = queue::open(&options.place)?;
    let mut reports = Vec::new();
    for tenant in queue::tenants(&reader, options.tenant.as_deref())? {
        let report = audit(&reader, &tenant, !options.headers_only)?;
        reports.push((tenant, report));
    }
    Ok(reports)
}

fn audit_topic(options: &AuditOptions, brokers: &str, topic: &str) -> Result<Reports, Failure> {
    let mut reader =
        TopicReader::open(brokers, topic, &options.properties).map_err(Failure::unusable)?;
    let first_sequence = u64::from(reader.is_trimmed());
    let mut audits: BTreeMap<String, Audit> = BTreeMap::new();
    let mut others = 0_u64;
    let each = |message: TopicMessage<'_>| {
        let (header, encoding, body) = match message {
            TopicMessage::Section(header, encoding, body) => (header, encoding, body),
            TopicMessage::Other(why) => {
                if others == 0 {
                    eprintln!("logferry: {why}: not one of ours, nor are perhaps more");
                }
                others += 1;
                return;
            }
        };
        let tenant = &*header.context.tenant;
        if options.tenant.as_deref().is_some_and(|it| it != tenant) {
            return;
        }
        let audit = match audits.get_mut(tenant) {
            Some(audit) => audit,
            None => audits.entry(tenant.to_owned()).or_insert_with(|| Audit::new(first_sequence)),
        };
        audit.observe(&header);
        if !options.headers_only {
            audit.observe_body(&header, encoding, body, &mut decode);
        }
    };
    reader.read(&SystemClock, each).map_err(Failure::unusable)?;
    Ok(audits.into_iter().map(|(tenant, audit)| (tenant, audit.finish())).collect())
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

fn text(out: &mut impl Write, reports: &[(String, AuditReport)]) -> io::Result<()> {
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
