//! An id is written as other programs write it, and read back.

use super::TaskId;

#[test]
fn an_id_is_written_digit_by_digit() {
    for (bits, text) in [
        (0, "00000000-0000-0000-0000-000000000000"),
        (u128::MAX, "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        (0x0123_4567_89ab_cdef_fedc_ba98_7654_3210, "01234567-89ab-cdef-fedc-ba9876543210"),
        (0x0195_a1b2_c3d4_7000_8000_9a9a_0f0f_f0f0, "0195a1b2-c3d4-7000-8000-9a9a0f0ff0f0"),
    ] {
        let id = TaskId::from_u128(bits);
        assert_eq!((id.to_string(), text.parse()), (text.to_owned(), Ok(id)));
    }
}

#[test]
fn every_digit_is_written_in_every_place() {
    for at in (0..u128::BITS).step_by(4) {
        for value in 0..16_u128 {
            let hex = format!("{:032x}", value << at);
            let text = TaskId::from_u128(value << at).to_string();
            assert_eq!(text.replace('-', ""), hex);
        }
    }
}
