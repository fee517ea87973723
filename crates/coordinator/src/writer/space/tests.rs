//! How much room is kept back, and when submits are refused.

use super::*;

const MIB: u64 = 1 << 20;

#[test]
fn reserve_and_ballast_fit_the_volume() {
    for (volume, reserve) in
        [(32 * MIB, 32 * MIB / 10), (1_000 * MIB, 100 * MIB), (1 << 40, 256 * MIB), (0, 0)]
    {
        assert_eq!(reserve_bytes(volume), reserve, "of {volume}");
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(volume_bytes(here), volume_bytes(&here.join("not/there/yet")));
    assert_eq!(volume_bytes(Path::new("not-there-yet")), volume_bytes(Path::new(".")));
}

#[test]
fn admission_closes_at_the_reserve_and_opens_a_quarter_above() {
    for (free_bytes, was_tight, is_tight) in [
        (100, false, false),
        (99, false, true),
        (100, true, true),
        (124, true, true),
        (125, true, false),
    ] {
        let (reserve_bytes, journal_bytes) = (100, 0);
        let space = Space { free_bytes, reserve_bytes, journal_bytes, is_tight: was_tight };
        assert_eq!(space.judge(), is_tight, "{free_bytes} {was_tight}");
    }
}
