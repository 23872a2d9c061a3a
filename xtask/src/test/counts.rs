//! What cargo's test harness says at the end of each test target.

use std::fmt;
use std::ops::Add;

/// Tests by their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
}

impl Counts {
    /// Sums the lines `test result: ok. 7 passed; 0 failed; …` of an output.
    pub(super) fn of(output: &str) -> Self {
        output.lines().filter_map(|line| line.strip_prefix("test result: ")).fold(
            Self::default(),
            |sum, line| {
                sum + Self { passed: number_before(line, " passed"), failed: number_before(line, " failed") }
            },
        )
    }
}

/// Names of the tests that failed.
pub(super) fn failed(output: &str) -> Vec<&str> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("test "));
    lines.filter_map(|line| line.strip_suffix(" ... FAILED")).collect()
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("ok");
        }
        write!(f, "{} passed", self.passed)?;
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        Ok(())
    }
}

fn number_before(line: &str, word: &str) -> u64 {
    let before = line.split(word).next().filter(|before| before.len() < line.len());
    before.and_then(|text| text.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_targets_are_summed() {
        let output = "running 2 tests\n\
            test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            a line of a test: 5 passed\n\
            test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 1 filtered out; finished in 1.00s\n";
        assert_eq!(Counts::of(output), Counts { passed: 10, failed: 2 });
    }

    #[test]
    fn the_tests_that_failed_are_named() {
        let output =
            "test a::holds ... ok\ntest b::breaks ... FAILED\ntest result: FAILED. 1 passed; 1 failed;\n";
        assert_eq!(failed(output), ["b::breaks"]);
    }

    #[test]
    fn an_output_without_results_counts_nothing() {
        assert_eq!(Counts::of("error: could not compile"), Counts::default());
    }
}
