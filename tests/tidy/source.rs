//! Rust text seen as a reader sees it: what is code, what is a comment, where a function begins and ends.
//!
//! No parser: rustfmt guarantees that a body ends at the first `}` with its `fn`'s indentation, and a few rules are
//! enough to tell comments and literals from code. It knows nothing of the rules that look at the text.

/// The text with every comment, string and character blanked, line for line, so that words in prose and in
/// literals are not taken for code.
pub(crate) fn code(text: &str) -> String {
    let mut rest = text;
    let mut code = String::with_capacity(text.len());
    while let Some(first) = rest.chars().next() {
        let opaque = opaque_len(rest, code.chars().next_back());
        let taken = if opaque == 0 { first.len_utf8() } else { opaque };
        let (head, tail) = rest.split_at(taken);
        if opaque == 0 {
            code.push(first);
        } else {
            code.extend(head.chars().map(|it| if it == '\n' { '\n' } else { ' ' }));
        }
        rest = tail;
    }
    code
}

/// How many bytes of comment or literal the text begins with.
fn opaque_len(text: &str, before: Option<char>) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |end| end + 2);
    }
    let in_word = before.is_some_and(|it| it.is_alphanumeric() || it == '_');
    if text.starts_with('r') && !in_word {
        return raw_string_len(text);
    }
    if text.starts_with('"') {
        return quoted_len(text, '"');
    }
    // A quote is a character only if it closes at once; otherwise it is a lifetime.
    let closes = text.starts_with("'\\") || text.chars().nth(2) == Some('\'');
    if text.starts_with('\'') && closes { quoted_len(text, '\'') } else { 0 }
}

fn raw_string_len(text: &str) -> usize {
    let fence = text.chars().skip(1).take_while(|it| *it == '#').count();
    let Some(body) = text.get(1 + fence..).and_then(|it| it.strip_prefix('"')) else { return 0 };
    let end = format!("\"{}", "#".repeat(fence));
    body.find(&end).map_or(text.len(), |at| 2 + fence + at + end.len())
}

fn quoted_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, it) in text.char_indices().skip(1) {
        match it {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if it == quote => return at + quote.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// The code that ships: without the modules that exist for tests alone.
pub(crate) fn production(code: &str) -> String {
    let mut kept = String::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let Some(item) = lines.next() else { break };
        if !item.trim_end().ends_with('{') {
            continue;
        }
        let end = format!("{}}}", indent(item));
        for inner in lines.by_ref() {
            if inner == end {
                break;
            }
        }
    }
    kept
}

/// How many lines each function of some code has, its signature included.
pub(crate) fn function_lines(code: &str) -> Vec<usize> {
    let lines: Vec<&str> = code.lines().collect();
    let begins = |line: &&str| line.trim_start().starts_with("fn ") || line.contains(" fn ");
    let starts = lines.iter().enumerate().filter(|(_, line)| begins(line));
    starts.filter_map(|(at, line)| length(lines.get(at..)?, indent(line))).collect()
}

fn length(lines: &[&str], indent: &str) -> Option<usize> {
    let close = format!("{indent}}}");
    let first = lines.first()?;
    if first.ends_with('}') {
        return Some(1);
    }
    let end = lines
        .iter()
        .position(|line| *line == close || line.ends_with(';') && starts(line, indent))?;
    lines.get(end).filter(|line| **line == close).map(|_| end + 1)
}

/// Whether a line is at this indentation and no deeper: a signature that ends there has no body.
fn starts(line: &str, indent: &str) -> bool {
    self::indent(line) == indent
}

fn indent(line: &str) -> &str {
    line.get(..line.len() - line.trim_start().len()).unwrap_or_default()
}
