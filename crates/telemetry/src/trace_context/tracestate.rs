//! The `tracestate` header: what vendors add to a trace. It is carried, never interpreted.

/// A propagator must carry at least this much; more is dropped, so that a task's record stays small.
const LENGTH_MAX: usize = 512;

/// The most list members the specification allows.
const MEMBERS_MAX: usize = 32;

/// The longest key and the longest value of a member.
const MEMBER_PART_MAX: usize = 256;

/// `header` if it is valid and short enough, otherwise nothing.
pub(super) fn checked(header: &str) -> &str {
    let header = header.trim_matches(WHITESPACE);
    if header.len() <= LENGTH_MAX && is_valid(header) { header } else { "" }
}

const WHITESPACE: [char; 2] = [' ', '\t'];

fn is_valid(header: &str) -> bool {
    let mut keys: Vec<&str> = Vec::with_capacity(MEMBERS_MAX);
    // Empty members are allowed and count for nothing.
    let members = header.split(',').map(|m| m.trim_matches(WHITESPACE)).filter(|m| !m.is_empty());
    for member in members {
        let Some((key, value)) = member.split_once('=') else { return false };
        let fits = keys.len() < MEMBERS_MAX && !keys.contains(&key);
        if !fits || !is_key(key) || !is_value(value) {
            return false;
        }
        keys.push(key);
    }
    true
}

fn is_key(key: &str) -> bool {
    let starts_well = key.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let all_allowed = key
        .bytes()
        .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@'));
    starts_well && all_allowed && key.len() <= MEMBER_PART_MAX
}

fn is_value(value: &str) -> bool {
    let all_allowed = value.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'=' && b != b',');
    !value.is_empty() && all_allowed && value.len() <= MEMBER_PART_MAX
}
