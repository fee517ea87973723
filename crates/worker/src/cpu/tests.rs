//! What the kernel shows, as it shows it, in a folder of the test's own.

use tempfile::TempDir;

use super::*;

/// Files below a folder.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("it can be made");
        fs::write(path, text).expect("it can be written");
    }
    dir
}

/// Which file says what was used, and how many nanoseconds a second may have.
fn check(groups: &str, files: &[(&str, &str)], expected: Option<(&str, u64)>) {
    let dir = folder(files);
    let proc = dir.path().join("proc");
    fs::create_dir_all(proc.join("self")).expect("it can be made");
    fs::write(proc.join("self/cgroup"), groups).expect("it can be written");
    let found = match Source::find(&proc, &dir.path().join("cg")) {
        Source::Group { usage: Usage::Nanos(path) | Usage::Stat(path), per_second } => {
            let path = path.strip_prefix(dir.path().join("cg")).expect("below the mount");
            Some((path.to_string_lossy().into_owned(), per_second))
        }
        Source::Machine(_) => None,
    };
    let expected = expected.map(|(path, per_second)| (path.to_owned(), per_second));
    assert_eq!(found, expected, "{groups:?} {files:?}");
}

#[test]
fn the_tightest_limit_is_found() {
    let half = "50000 100000\n";
    check("0::/\n", &[("cg/cpu.max", half)], Some(("cpu.stat", 500_000_000)));
    check("0::/a/b\n", &[("cg/a/b/cpu.max", half)], Some(("a/b/cpu.stat", 500_000_000)));
    check(
        "0::/a/b\n",
        &[("cg/a/b/cpu.max", "max 100000\n"), ("cg/a/cpu.max", half)],
        Some(("a/cpu.stat", 500_000_000)),
    );
    check(
        "0::/a/b\n",
        &[("cg/a/b/cpu.max", half), ("cg/a/cpu.max", "20000 100000\n")],
        Some(("a/cpu.stat", 200_000_000)),
    );
    check("0::/\n", &[("cg/cpu.max", "max 100000\n")], None);
    check("0::/\n", &[("cg/cpu.max", "100000000000 100000\n")], None);
    check("0::/\n", &[], None);
    check("", &[], None);

    let own = "4:cpu,cpuacct:/docker/x\n1:name=systemd:/\n";
    let quota = |at: &'static str, quota: &'static str| {
        let [a, b, c] = match at {
            "" => {
                ["cg/cpu/cpu.cfs_quota_us", "cg/cpu/cpu.cfs_period_us", "cg/cpuacct/cpuacct.usage"]
            }
            _ => [
                "cg/cpu/docker/x/cpu.cfs_quota_us",
                "cg/cpu/docker/x/cpu.cfs_period_us",
                "cg/cpuacct/docker/x/cpuacct.usage",
            ],
        };
        [(a, quota), (b, "100000\n"), (c, "1\n")]
    };
    check(
        own,
        &quota("docker/x", "25000\n"),
        Some(("cpuacct/docker/x/cpuacct.usage", 250_000_000)),
    );
    check(own, &quota("", "25000\n"), Some(("cpuacct/cpuacct.usage", 250_000_000)));
    check(own, &quota("", "-1\n"), None);
}

#[test]
fn what_was_used_is_a_part_of_what_there_was() {
    let group = |per_second| Source::Group { usage: Usage::Nanos(PathBuf::new()), per_second };
    let nanos = |used| Used { used, of: None };
    let second = Duration::from_secs(1);
    let check = |source: Source, before, now, span, expected| {
        assert_eq!(
            source.busy(before, now, span),
            expected,
            "{source:?} {before:?} {now:?} {span:?}"
        );
    };
    check(group(500_000_000), nanos(0), nanos(250_000_000), second, Some(500));
    check(group(2_000_000_000), nanos(1_000), nanos(1_000), second, Some(0));
    check(group(500_000_000), nanos(0), nanos(600_000_000), second, Some(1_000));
    check(group(500_000_000), nanos(5), nanos(4), second, None);
    check(group(500_000_000), nanos(0), nanos(1), Duration::ZERO, None);
    let machine = || Source::Machine(PathBuf::new());
    let of = |used, of| Used { used, of: Some(of) };
    check(machine(), of(100, 1_000), of(400, 1_400), second, Some(750));
    check(machine(), of(100, 1_000), of(100, 1_000), second, None);
}

#[test]
fn what_the_kernel_says_is_read() {
    let stat = "cpu  100 20 30 400 50 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
    assert_eq!(machine(stat), Some(Used { used: 171, of: Some(621) }));
    assert_eq!(machine("cpu0 1 2 3 4 5 6 7 8\n"), None);
    assert_eq!(machine("cpu 1 2 3\n"), None);
    let dir =
        folder(&[("cpu.stat", "nr_periods 3\nusage_usec 1234\nuser_usec 1\n"), ("n", "77\n")]);
    let used = |usage| Source::Group { usage, per_second: 1 }.read().map(|it| it.used);
    assert_eq!(used(Usage::Stat(dir.path().join("cpu.stat"))), Some(1_234_000));
    assert_eq!(used(Usage::Nanos(dir.path().join("n"))), Some(77));
    assert_eq!(used(Usage::Nanos(dir.path().join("none"))), None);
}

#[test]
fn this_machine_can_be_measured() {
    let mut meter = Meter::new();
    let began = Moment::now();
    assert_eq!(meter.read(began), None, "one look says nothing");
    let busy = meter.read(began + Duration::from_secs(1));
    assert!(busy.is_none_or(|it| (0..=1_000).contains(&it)), "{busy:?}");
}
