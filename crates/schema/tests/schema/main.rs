//! Schemas from outside: what their canonical forms are, what changes them, and whether verdicts hold for real payloads.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use leasehold_schema::{Change, Report, Schema, Verdict};

mod canonical;
mod decoding;
mod json;
mod protobuf;
mod validation;

/// The descriptors of one source file.
fn compiled(source: &str) -> Vec<u8> {
    struct One(String);
    impl protox::file::FileResolver for One {
        fn open_file(&self, name: &str) -> Result<protox::file::File, protox::Error> {
            if name == "it.proto" {
                protox::file::File::from_source(name, &self.0)
            } else {
                protox::file::GoogleFileResolver::new().open_file(name)
            }
        }
    }
    let mut compiler = protox::Compiler::with_file_resolver(One(source.to_owned()));
    compiler.include_imports(true).include_source_info(true);
    compiler.open_file("it.proto").unwrap_or_else(|error| panic!("{source}: {error:?}"));
    compiler.encode_file_descriptor_set()
}

fn protobuf(source: &str, message: &str) -> Schema {
    Schema::protobuf(&compiled(source), Some(message))
        .unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn json(text: &str) -> Schema {
    Schema::json(text).unwrap_or_else(|error| panic!("{text}: {:?} {error}", error.line()))
}

/// Each change as a line: where, whether readers of NEW read OLD, and readers of OLD read NEW.
fn lines(report: &Report) -> Vec<String> {
    let sign = |verdict| match verdict {
        Verdict::Reads => "reads",
        Verdict::Undecided => "?",
        Verdict::Breaks => "breaks",
    };
    let line =
        |it: &Change| format!("{} {} {}", it.place, sign(it.new_reads_old), sign(it.old_reads_new));
    report.changes().iter().map(line).collect()
}
