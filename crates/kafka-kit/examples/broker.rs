//! Runs one broker until its input ends, and tells where it is: to try things by hand.
//!
//! usage: broker [ADDRESS:PORT [TOPIC…]]

use std::io::{self, Write};

use kafka_kit::{Cluster, Listener};

/// Partitions of each topic.
const PARTITIONS: i32 = 3;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut builder = Cluster::builder();
    if let Some(plain) = arguments.next() {
        builder = builder.at(plain.parse()?);
    }
    let cluster = builder.start()?;
    for topic in arguments {
        cluster.create_topic(&topic, PARTITIONS, 1, &[])?;
    }
    let mut output = io::stdout().lock();
    writeln!(output, "folder: {}", cluster.folder().display())?;
    writeln!(output, "process: {}", cluster.broker(1).process()?)?;
    for listener in Listener::ALL {
        writeln!(output, "{}: {}", listener.name(), cluster.addresses(listener))?;
    }
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(())
}
