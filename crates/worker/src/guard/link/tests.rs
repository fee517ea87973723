//! What one side says the other understands.

use super::{Report, header};

#[test]
fn a_report_survives_the_wire() {
    for report in [
        Report::Exited(0),
        Report::Exited(75),
        Report::Exited(-1),
        Report::Signaled(9),
        Report::NotStarted(2),
        Report::NotStarted(i32::MAX),
        Report::NotEntered(2),
        Report::Overdue,
    ] {
        assert_eq!(Report::decode(report.encode()), Some(report));
    }
    assert_eq!(Report::decode([0; Report::BYTES]), None);
    assert_eq!(Report::decode([9, 0, 0, 0, 0]), None);
}

#[test]
fn a_header_is_the_length() {
    assert_eq!(u64::from_le_bytes(header(&[])), 0);
    assert_eq!(u64::from_le_bytes(header(&vec![0; 70_000])), 70_000);
}
