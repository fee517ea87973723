//! The seeds that once broke a promise.

/// A seed, and what it broke.
#[derive(Clone, Copy, Debug)]
pub struct Regression {
    /// The seed.
    pub seed: u64,
    /// What was broken, in words.
    pub story: &'static str,
}

/// Every one there ever was. They are run for ever.
pub fn regressions() -> impl Iterator<Item = Regression> {
    let lines = include_str!("../regressions.txt").lines();
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (seed, story) = line.split_once(' ')?;
        Some(Regression { seed: seed.parse().ok()?, story: story.trim() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_the_list_is_passed_over() {
        let list = include_str!("../regressions.txt");
        let lines = list.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(regressions().count(), lines);
        assert!(regressions().all(|it| !it.story.is_empty()));
    }
}
