//! Schemas from files: sources of protobuf, descriptors, or JSON, told by the end of the name.

use std::{
    fmt,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use leasehold_schema::{DESCRIPTOR_BYTES_MAX, JSON_BYTES_MAX, Schema};
use protox::file::{ChainFileResolver, FileResolver, GoogleFileResolver};

use super::ProtobufArgs;
use crate::failure::Failure;

/// How many bytes of sources are read for one schema, its imports included: as much as of descriptors.
const SOURCE_BYTES_MAX: usize = DESCRIPTOR_BYTES_MAX;

/// How deep brackets of any kind may be nested in a source: the compiler is a recursive one.
const SOURCE_LEVELS_MAX: usize = 100;

/// Reads a schema.
pub(super) fn read(file: &Path, protobuf: &ProtobufArgs) -> Result<Schema, Failure> {
    let extension = file.extension().and_then(|it| it.to_str()).unwrap_or_default();
    let schema = match extension {
        "json" => Schema::json(&text(file)?),
        "proto" => Schema::protobuf(&compiled(file, protobuf)?, protobuf.message.as_deref()),
        _ => {
            let set = bytes(file, DESCRIPTOR_BYTES_MAX)?;
            Schema::protobuf(&set, protobuf.message.as_deref())
        }
    };
    schema.map_err(|error| match error.line() {
        Some(line) => {
            let line = u64::try_from(line).unwrap_or(u64::MAX);
            Failure::Line { name: name(file), line, reason: error.to_string() }
        }
        None => Failure::Usage(format!("{}: {error}", name(file))),
    })
}

fn name(file: &Path) -> String {
    file.display().to_string()
}

/// A JSON document.
fn text(file: &Path) -> Result<String, Failure> {
    let bytes = bytes(file, JSON_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = before.split(|it| *it == b'\n').count();
        let line = u64::try_from(line).unwrap_or(u64::MAX);
        Failure::Line { name: name(file), line, reason: "is no UTF-8".to_owned() }
    })
}

/// A file, and at most one byte more than is allowed, so that the schema refuses it with its own words.
fn bytes(file: &Path, most: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    File::open(file)
        .and_then(|it| it.take(most + 1).read_to_end(&mut bytes))
        .map_err(|source| Failure::Read { name: name(file), source })?;
    Ok(bytes)
}

/// The descriptors of a source and of everything it imports.
fn compiled(file: &Path, protobuf: &ProtobufArgs) -> Result<Vec<u8>, Failure> {
    // Said here because the compiler would look for the file in the directories alone.
    drop(bytes(file, 0)?);
    let wrong = |reason: String| Failure::Usage(format!("{}: {reason}", name(file)));
    let own = file.parent().filter(|it| *it != Path::new("")).unwrap_or(Path::new("."));
    let mut dirs =
        if protobuf.include.is_empty() { vec![own.to_owned()] } else { protobuf.include.clone() };
    // Where a file itself is, what it imports is looked for first: the other schema of a comparison has the same names.
    dirs.sort_by_key(|dir| file.strip_prefix(dir).is_err());
    let relative = dirs.first().and_then(|dir| file.strip_prefix(dir).ok());
    let relative = match relative {
        Some(relative) => relative,
        None if protobuf.include.is_empty() => file.strip_prefix(own).unwrap_or(file),
        None => return Err(wrong("is in none of the --include directories".to_owned())),
    };
    let relative =
        relative.to_str().ok_or_else(|| wrong("has a name that is no UTF-8".to_owned()))?;
    let relative = relative.trim_start_matches("./").to_owned();
    let mut resolver = ChainFileResolver::new();
    resolver.add(Directories { dirs, left: AtomicUsize::new(SOURCE_BYTES_MAX) });
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    // Its debug form has the file, the line and the column in front, as compilers write them.
    compiler.open_file(&relative).map_err(|error| Failure::Usage(format!("{error:?}")))?;
    Ok(compiler.encode_file_descriptor_set())
}

/// Where sources are looked for, and how much of them may still be read.
struct Directories {
    dirs: Vec<PathBuf>,
    left: AtomicUsize,
}

impl FileResolver for Directories {
    fn open_file(&self, name: &str) -> Result<protox::file::File, protox::Error> {
        for dir in &self.dirs {
            let path = dir.join(name);
            if path.is_file() {
                return protox::file::File::from_source(name, &self.source(name, &path)?);
            }
        }
        Err(protox::Error::file_not_found(name))
    }
}

impl Directories {
    fn source(&self, name: &str, path: &Path) -> Result<String, protox::Error> {
        let wrong = |reason: String| protox::Error::new(Unread(format!("{name}: {reason}")));
        let left = self.left.load(Ordering::Relaxed);
        let bytes = bytes(path, left).map_err(|failure| wrong(failure.line()))?;
        if left < bytes.len() {
            let message =
                format!("with what it imports, more than {SOURCE_BYTES_MAX} bytes are not read");
            return Err(wrong(message));
        }
        self.left.store(left - bytes.len(), Ordering::Relaxed);
        if let Some(line) = too_deep(&bytes) {
            return Err(wrong(format!(
                "line {line}: is nested deeper than {SOURCE_LEVELS_MAX} levels"
            )));
        }
        String::from_utf8(bytes).map_err(|_| wrong("is no UTF-8".to_owned()))
    }
}

/// The line in which more brackets are open than a person opens, whatever they are part of.
fn too_deep(source: &[u8]) -> Option<usize> {
    let (mut level, mut line) = (0_usize, 1);
    for byte in source {
        match byte {
            b'{' | b'[' | b'(' | b'<' => level += 1,
            b'}' | b']' | b')' | b'>' => level = level.saturating_sub(1),
            b'\n' => line += 1,
            _ => {}
        }
        if SOURCE_LEVELS_MAX < level {
            return Some(line);
        }
    }
    None
}

/// A source that could not be read, for the compiler to hand back: its debug form is what is shown of it.
#[derive(thiserror::Error)]
#[error("{0}")]
struct Unread(String);

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
