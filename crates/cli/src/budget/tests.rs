//! What is left, by the text of the variable.

use super::*;

#[test]
fn what_is_left_is_measured() {
    let now = Duration::from_secs(100);
    let cases = [
        ("101.5", Ok(Duration::from_millis(1_500))),
        ("101", Ok(Duration::from_secs(1))),
        ("99.999", Ok(Duration::ZERO)),
        ("-1", Err(())),
        ("soon", Err(())),
        ("NaN", Err(())),
        ("", Err(())),
    ];
    for (text, expected) in cases {
        assert_eq!(left(text, now).map_err(drop), expected, "{text}");
    }
}
