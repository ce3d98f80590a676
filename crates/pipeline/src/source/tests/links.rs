//! Links under a log's name that lead to one file, then to another, and back.

use std::os::unix::fs::symlink;

use super::*;

impl Bed {
    fn lead_to(&mut self, target: &str) {
        drop(fs::remove_file(self.path("app.log")));
        symlink(target, self.path("app.log")).unwrap();
        self.look(&["app.log"]);
    }
}

#[test]
fn a7_a_link_that_leads_elsewhere_is_a_rotation_and_the_way_back_goes_on() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a", "a1\n");
    bed.append("b", "b1\n");
    bed.lead_to("a");
    assert_eq!(bed.run(), ["a1"]);
    bed.append("a", "a2\n");
    bed.lead_to("b");
    assert_eq!(bed.run(), ["a2", "b1"]);
    bed.append("a", "a3\n");
    assert_eq!(bed.wait(LATE / 2), ["a3"], "a late write");
    bed.wait(2 * LATE);
    assert_eq!(bed.source.report().generations.len(), 1, "it lives on, but not here");
    bed.append("a", "a4\n");
    bed.append("b", "b2\n");
    assert_eq!(bed.run(), ["b2"]);
    // Back, and back again; before the other was let go, and after.
    bed.lead_to("a");
    assert_eq!(bed.run(), ["a4"]);
    bed.append("b", "b3\n");
    bed.append("a", "a5\n");
    bed.lead_to("b");
    bed.lead_to("a");
    bed.append("a", "a6\n");
    assert_eq!(bed.run(), ["b3", "a5", "a6"]);
    bed.wait(2 * LATE);

    bed.restart();
    bed.append("b", "b4\n");
    bed.append("a", "a7\n");
    bed.look(&["app.log"]);
    assert_eq!(bed.run(), ["a7"]);
    bed.lead_to("b");
    assert_eq!(bed.run(), ["b4"]);
}

#[test]
fn a7_a_file_that_no_link_leads_to_any_more_may_grow_for_ever_and_holds_nobody_up() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a", "first\n");
    bed.append("b", "wanted\n");
    bed.lead_to("a");
    bed.run();
    bed.lead_to("b");
    let mut delivered = Vec::new();
    for _ in 0..100 {
        // Whenever the source looks, there is something new.
        bed.append("a", "more\n");
        bed.now_ns += LATE / 10;
        let fs = Arc::clone(&bed.source.spec.fs);
        if let Look::Read { tail, bridge, .. } = bed.source.look(&*fs, bed.now_ns) {
            delivered.extend(bed.read(tail, bridge));
        }
    }
    assert!(delivered.contains(&"wanted".to_owned()), "{delivered:?}");
    assert!(delivered.len() > 5, "late writes are read: {delivered:?}");
}
