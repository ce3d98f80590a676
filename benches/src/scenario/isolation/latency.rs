//! Latency: from each write of the victim to its acknowledgement, and what most of them keep to.

/// Bytes written or delivered in sum, and by when, in monotonic nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) struct Mark {
    pub(in crate::scenario) at_ns: u64,
    pub(in crate::scenario) bytes: u64,
}

/// How long each write took until as much was delivered, in nanoseconds; what was not delivered is left out.
pub(in crate::scenario) fn latencies(written: &[Mark], delivered: &[Mark]) -> Vec<u64> {
    let mut delivered = delivered.iter().peekable();
    let mut latencies = Vec::with_capacity(written.len());
    for write in written {
        while delivered.next_if(|it| it.bytes < write.bytes).is_some() {}
        let Some(mark) = delivered.peek() else { break };
        latencies.push(mark.at_ns.saturating_sub(write.at_ns));
    }
    latencies
}

/// The least of `values` that `share` (0 to 1) of them are not above; `None` if there are none.
pub(in crate::scenario) fn quantile(values: &[u64], share: f64) -> Option<u64> {
    let mut values = values.to_vec();
    values.sort_unstable();
    let enough = |count: usize| count as f64 >= share * values.len() as f64;
    let count = (1..=values.len()).find(|count| enough(*count))?;
    Some(values[count - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(all: &[(u64, u64)]) -> Vec<Mark> {
        all.iter().map(|&(at_ns, bytes)| Mark { at_ns, bytes }).collect()
    }

    #[test]
    fn a_write_is_delivered_when_as_many_bytes_are() {
        let written = marks(&[(0, 100), (10, 200), (20, 300), (30, 400)]);
        let delivered = marks(&[(5, 0), (12, 100), (40, 250), (50, 300)]);
        assert_eq!(latencies(&written, &delivered), [12, 30, 30], "the last never was");
        assert_eq!(latencies(&[], &delivered), [0_u64; 0]);
    }

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(quantile(&values, 0.99), Some(198));
        assert_eq!(quantile(&values, 0.5), Some(100));
        assert_eq!(quantile(&values, 1.0), Some(200));
        assert_eq!(quantile(&[7], 0.99), Some(7));
        assert_eq!(quantile(&[], 0.99), None);
    }
}
