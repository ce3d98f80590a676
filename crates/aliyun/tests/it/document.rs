//! docs/ALIYUN.md has each field, with what becomes of it.

use std::fmt::Write as _;
use std::fs;

use aliyun::fields::KINDS;

const BEGIN: &str = "<!-- fields: written by UPDATE_GOLDEN=1 cargo test -p logferry-aliyun -->\n";
const END: &str = "<!-- end of fields -->\n";

fn tables() -> String {
    let mut out = String::new();
    for kind in KINDS {
        writeln!(out, "\n### {}\n\n| field | | how |\n|---|---|---|", kind.name).unwrap();
        for field in kind.fields {
            writeln!(out, "| `{}` | {} | {} |", field.path, field.fate, field.says).unwrap();
        }
    }
    out.push('\n');
    out
}

#[test]
fn the_document_has_each_field() {
    let path = crate::top().join("docs/ALIYUN.md");
    let document = fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("where the tables begin");
    let (written, after) = rest.split_once(END).expect("where the tables end");
    if crate::is_update() {
        fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", tables())).unwrap();
    } else {
        assert_eq!(written, tables(), "UPDATE_GOLDEN=1 rewrites it");
    }
}
