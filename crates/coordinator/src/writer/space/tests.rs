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

const TIGHT: Space = Space { free_bytes: 0, reserve_bytes: 0, journal_bytes: 0, is_tight: true };

#[test]
fn what_must_be_free_is_the_reserve_and_what_is_owed() {
    for (owed_bytes, is_tight, ballast, required) in [
        (0, false, Ballast::Held, 100),
        (0, true, Ballast::Held, 125),
        (30, false, Ballast::Held, 130),
        (30, true, Ballast::Held, 155),
        // No more is kept than fits a small volume.
        (900, false, Ballast::Held, 150),
        // The ballast comes before new tasks, and leaves a quarter of itself free.
        (0, false, Ballast::Dropped, 140),
        (30, true, Ballast::Dropped, 195),
        (30, true, Ballast::Broken, 155),
    ] {
        let (reserve_bytes, ballast_bytes, owed_bytes_max) = (100, 40, 50);
        let bounds = Bounds { reserve_bytes, ballast_bytes, owed_bytes, owed_bytes_max };
        let found = bounds.required(&Space { is_tight, ..TIGHT }, ballast);
        assert_eq!(found, required, "{owed_bytes} {is_tight} {ballast:?}");
    }
    let bounds = Bounds { reserve_bytes: 0, ballast_bytes: 40, owed_bytes: 0, owed_bytes_max: 0 };
    assert_eq!(bounds.required(&TIGHT, Ballast::Dropped), 50);
}

/// A journal with a ballast, and the gauge that its writer has.
fn gauged(dir: &Path) -> (Journal, Gauge) {
    let options = Options { ballast_bytes: 1 << 20, ..Default::default() };
    let journal = Journal::open(dir, options).expect("it opens");
    let gauge = Gauge::new(dir, &journal);
    (journal, gauge)
}

/// Where the ballast is.
fn ballast_path(dir: &Path) -> std::path::PathBuf {
    dir.join("ballast")
}

#[test]
fn a_ballast_that_cannot_be_made_refuses_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut journal, mut gauge) = gauged(dir.path());
    assert_eq!(gauge.ballast, Ballast::Held, "it is there from the start");
    assert!(gauge.full(&mut journal), "there is a ballast to drop");
    assert!(gauge.is_tight() && !gauge.full(&mut journal));
    // What stands in its place is no file.
    std::fs::create_dir(ballast_path(dir.path())).expect("it is made");
    let space = gauge.look(&mut journal).expect("it is time");
    assert!(!space.is_tight && gauge.ballast == Ballast::Broken, "{space:?}");
    std::fs::remove_dir(ballast_path(dir.path())).expect("it goes");
    assert!(gauge.restore_ballast(&mut journal) && gauge.ballast == Ballast::Held);
}
