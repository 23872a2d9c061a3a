//! The difference between two texts, line by line, in the unified form.

/// Unchanged lines around a change.
const CONTEXT: usize = 3;
/// Beyond so many pairs of lines the middle is told as a whole: nobody reads it line by line.
const MOST_PAIRS: usize = 16_000_000;

/// What happens to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step<'a> {
    Keep(&'a str),
    Remove(&'a str),
    Add(&'a str),
}

/// The changes from one text to another; nothing if they are the same.
pub(super) fn unified(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let steps = steps(&old, &new);
    let changes: Vec<usize> = (0..steps.len()).filter(|at| !matches!(steps[*at], Step::Keep(_))).collect();
    let mut text = String::new();
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for at in changes {
        let (from, to) = (at.saturating_sub(CONTEXT), (at + CONTEXT + 1).min(steps.len()));
        match hunks.last_mut() {
            Some((_, end)) if from <= *end => *end = to,
            _ => hunks.push((from, to)),
        }
    }
    for (from, to) in hunks {
        text.push_str(&hunk(&steps, from, to));
    }
    text
}

fn hunk(steps: &[Step<'_>], from: usize, to: usize) -> String {
    let count =
        |part: &[Step<'_>], which: fn(&Step<'_>) -> bool| part.iter().filter(|step| which(step)).count();
    let in_old = |step: &Step<'_>| !matches!(step, Step::Add(_));
    let in_new = |step: &Step<'_>| !matches!(step, Step::Remove(_));
    let part = &steps[from..to];
    let range = |first: usize, length: usize| {
        let line = if length == 0 { first } else { first + 1 };
        if length == 1 { line.to_string() } else { format!("{line},{length}") }
    };
    let old = range(count(&steps[..from], in_old), count(part, in_old));
    let new = range(count(&steps[..from], in_new), count(part, in_new));
    let line = |step: &Step<'_>| match step {
        Step::Keep(line) => format!(" {line}\n"),
        Step::Remove(line) => format!("-{line}\n"),
        Step::Add(line) => format!("+{line}\n"),
    };
    format!("@@ -{old} +{new} @@\n{}", part.iter().map(line).collect::<String>())
}

/// The shortest way from one to the other: what both begin and end with, and between them the longest common part.
fn steps<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Step<'a>> {
    let head = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail =
        old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(one, other)| one == other).count();
    let (old_middle, new_middle) = (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);
    let mut steps: Vec<Step<'a>> = old[..head].iter().map(|line| Step::Keep(line)).collect();
    if old_middle.len().saturating_mul(new_middle.len()) > MOST_PAIRS {
        steps.extend(old_middle.iter().map(|line| Step::Remove(line)));
        steps.extend(new_middle.iter().map(|line| Step::Add(line)));
    } else {
        middle(old_middle, new_middle, &mut steps);
    }
    steps.extend(old[old.len() - tail..].iter().map(|line| Step::Keep(line)));
    steps
}

fn middle<'a>(old: &[&'a str], new: &[&'a str], steps: &mut Vec<Step<'a>>) {
    // common[i][j]: the length of the longest common part of what follows.
    let width = new.len() + 1;
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            steps.push(Step::Keep(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || (i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            steps.push(Step::Remove(old[i]));
            i += 1;
        } else {
            steps.push(Step::Add(new[j]));
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_change_stands_between_three_lines_of_what_is_around_it() {
        let before = "a\nb\nc\nd\ne\nf\ng\nh\n";
        let after = "a\nb\nc\nd\nE\nf\ng\nh\n";
        assert_eq!(unified(before, after), "@@ -2,7 +2,7 @@\n b\n c\n d\n-e\n+E\n f\n g\n h\n");
        assert_eq!(unified(before, before), "");
    }

    #[test]
    fn what_is_new_or_gone_as_a_whole_is_told_as_diff_does() {
        assert_eq!(unified("", "a\nb\n"), "@@ -0,0 +1,2 @@\n+a\n+b\n");
        assert_eq!(unified("a\n", ""), "@@ -1 +0,0 @@\n-a\n");
    }

    #[test]
    fn changes_far_apart_are_hunks_of_their_own() {
        let lines = |change: &str| -> String {
            (0..30)
                .map(|n| if n == 2 || n == 25 { format!("{change}{n}\n") } else { format!("{n}\n") })
                .collect()
        };
        assert_eq!(unified(&lines("a"), &lines("b")).matches("@@ -").count(), 2);
    }

    proptest! {
        #[test]
        fn the_steps_lead_from_one_text_to_the_other(
            old in proptest::collection::vec("[abc]", 0..12),
            new in proptest::collection::vec("[abc]", 0..12),
        ) {
            let (old, new): (Vec<&str>, Vec<&str>) =
                (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
            let steps = steps(&old, &new);
            let left: Vec<&str> = steps.iter().filter_map(|step| match step {
                Step::Keep(line) | Step::Remove(line) => Some(*line),
                Step::Add(_) => None,
            }).collect();
            let right: Vec<&str> = steps.iter().filter_map(|step| match step {
                Step::Keep(line) | Step::Add(line) => Some(*line),
                Step::Remove(_) => None,
            }).collect();
            prop_assert_eq!((left, right), (old, new));
        }
    }
}
