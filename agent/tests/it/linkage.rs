//! What the program needs of the node that it runs on.

use std::process::Command;

use crate::kit::{LOGFERRY, Run};

/// OpenSSL, zlib and librdkafka are in the program: a node may have other versions of them, or none.
#[test]
fn the_program_needs_no_library_of_the_node_beside_those_of_c() {
    let run = Run::by(Command::new("ldd"), &[LOGFERRY]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let needed: Vec<&str> =
        run.stdout.lines().filter_map(|it| it.split_whitespace().next()).collect();
    assert!(needed.contains(&"libc.so.6"), "{needed:?}");
    let of_c = ["linux-vdso.so", "ld-linux", "libc.so", "libm.so", "libgcc_s.so"];
    let others: Vec<&&str> =
        needed.iter().filter(|it| !of_c.iter().any(|known| it.contains(known))).collect();
    assert!(others.is_empty(), "{others:?}");
}
