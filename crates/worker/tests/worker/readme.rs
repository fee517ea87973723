//! What the documentation shows is what the compiler has seen.

/// The worker of the README, without its first line, which is for readers of the file.
fn example() -> String {
    let text = include_str!("../../examples/hello.rs");
    text.lines().filter(|line| !line.starts_with("//!")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_readme_and_the_guide_show_the_example_that_is_compiled() {
    let pages = [
        ("README.md", include_str!("../../../../README.md")),
        ("docs/worker.md", include_str!("../../../../docs/worker.md")),
    ];
    for (name, page) in pages {
        assert!(page.contains(&example()), "{name} does not hold\n{}", example());
    }
}

#[test]
fn the_example_is_short() {
    let lines = example().lines().filter(|line| !line.is_empty()).count();
    assert!(lines <= 14, "{lines} lines");
}
