//! How many instances there are, also where that depends on the machine.

use serde_json::{Value, json};

use super::Work;
use crate::report::Verdict;

/// How many instances PM2 would run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Nothing is said.
    Unset,
    /// So many.
    Fixed(i64),
    /// One for each CPU but so many, and at most so many.
    PerCpu {
        /// CPUs without an instance.
        leave: i64,
        /// The most instances.
        most: Option<i64>,
    },
    /// Something else that depends on the CPUs: with so many of them, so many instances.
    Depends {
        /// Few CPUs, and their instances.
        few: (u32, i64),
        /// Many CPUs, and their instances.
        many: (u32, i64),
    },
}

/// What `instances` means on a machine, as PM2 counts: a text that is no number,
/// and 0, mean all CPUs, a negative number all but so many.
fn on(cpus: u32, value: &Value) -> i64 {
    let number = match value {
        Value::String(text) => text.trim().parse().unwrap_or(0.0),
        other => other.as_f64().unwrap_or(0.0),
    };
    #[allow(clippy::cast_possible_truncation)] // Saturates, and no one has as many.
    let number = number as i64;
    let count = if number > 0 { number } else { i64::from(cpus).saturating_add(number) };
    count.max(1)
}

impl Count {
    /// The count of an entry that was evaluated for several numbers of CPUs.
    pub fn of(values: &[(u32, Option<Value>)]) -> Self {
        let Some(Some(first)) = values.first().map(|(_, value)| value.clone()) else { return Self::Unset };
        let counts: Vec<(u32, i64)> = values
            .iter()
            .map(|(cpus, value)| (*cpus, value.as_ref().map_or(1, |value| on(*cpus, value))))
            .collect();
        let same = values.iter().all(|(_, value)| value.as_ref() == Some(&first));
        if same {
            // -70 leaves less than nothing on any of the machines.
            let number = match &first {
                Value::String(text) => text.trim().parse().unwrap_or(0.0),
                other => other.as_f64().unwrap_or(0.0),
            };
            #[allow(clippy::cast_possible_truncation)]
            return if number >= 1.0 {
                Self::Fixed(number as i64)
            } else {
                Self::PerCpu { leave: -(number as i64), most: None }
            };
        }
        let leaves = |(cpus, count): (u32, i64)| i64::from(cpus) - count;
        let (few, many) = (counts[0], counts[1]);
        if counts.iter().all(|count| leaves(*count) == leaves(few)) {
            return Self::PerCpu { leave: leaves(few), most: None };
        }
        let levels_off = counts.len() > 2 && counts[1..].iter().all(|count| count.1 == many.1);
        if levels_off && leaves(few) >= 0 && many.1 > few.1 {
            return Self::PerCpu { leave: leaves(few), most: Some(many.1) };
        }
        Self::Depends { few, many }
    }
}

/// The variable that PM2 gives the number in.
const NUMBER: &str = "NODE_APP_INSTANCE";
/// The largest number that the API takes.
const MOST: i64 = 10_000;

impl Work<'_> {
    pub(super) fn instances(&mut self) {
        match self.origin.count {
            // PM2's default is ours.
            Count::Unset => {}
            Count::Fixed(number) => {
                self.set("instances", number.min(MOST));
                let note = if number > MOST { "10000 is the most" } else { "" };
                self.say("instances", Verdict::Mapped, "spec.instances", note);
            }
            Count::PerCpu { leave, most } => self.fill_cluster(leave, most),
            Count::Depends { few, many } => {
                self.set("instances", few.1.clamp(1, MOST));
                let note = format!(
                    "depends on the number of CPUs in a way that fillCluster does not know ({} with {} CPUs, {} with {}); \
                     written as {}, set instances, fillCluster or autoscaling yourself",
                    few.1,
                    few.0,
                    many.1,
                    many.0,
                    few.1.clamp(1, MOST)
                );
                self.say("instances", Verdict::Changed, "spec.instances", note);
            }
        }
        self.index();
    }

    /// PM2 numbers the instances of every app; a single one has 0 anyway.
    fn index(&mut self) {
        let several = match self.origin.count {
            Count::Unset => false,
            Count::Fixed(number) => number > 1,
            Count::PerCpu { .. } | Count::Depends { .. } => true,
        };
        let index = self.variable("instance_var", NUMBER).unwrap_or_else(|| NUMBER.to_owned());
        let increment = self.variable("increment_var", &index);
        if !several && index == NUMBER && increment.is_none() {
            return;
        }
        self.set("instanceIndex", true);
        let note = "each instance has its number, as in PM2; take it out if the app does not read it, and pods start sooner";
        self.say("instances", Verdict::Mapped, "spec.instanceIndex", note);
        if index != NUMBER {
            self.set("instanceVar", index);
            self.say_table("instance_var", "spec.instanceVar");
        }
        if let Some(increment) = increment {
            self.set("incrementVar", increment);
            self.say_table("increment_var", "spec.incrementVar");
        }
    }

    /// The name of a variable in an option, unless it is `known` already or no name that can be used.
    fn variable(&mut self, name: &str, known: &str) -> Option<String> {
        let variable = self.text(name).filter(|variable| variable != known)?;
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let usable = variable.bytes().all(letter)
            && variable.bytes().next().is_some_and(|first| !first.is_ascii_digit())
            && !variable.starts_with("NODEAPP_")
            && variable.len() <= 253;
        if variable == "PORT" {
            self.say(
                name,
                Verdict::NotApplicable,
                "",
                "each instance has an address of its own, so all have the same PORT",
            );
        } else if usable {
            return Some(variable);
        } else {
            self.say(
                name,
                Verdict::NotApplicable,
                "",
                "must be the name of a variable: letters, digits and '_', not NODEAPP_...",
            );
        }
        None
    }

    fn fill_cluster(&mut self, leave: i64, most: Option<i64>) {
        let mut fill = json!({"leave": leave.clamp(0, MOST)});
        if let Some(most) = most {
            fill["maxInstances"] = json!(most.clamp(1, MOST));
        }
        self.set("fillCluster", fill);
        let note = if leave < 0 {
            "more instances than CPUs have no counterpart; one per CPU is written".to_owned()
        } else {
            "as many as the cluster has room for, where PM2 counts the CPUs of one machine; write `instances: N` for a fixed number".to_owned()
        };
        self.say("instances", Verdict::Changed, "spec.fillCluster", note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(of: impl Fn(i64) -> Value) -> Count {
        let values: Vec<_> = [4_u32, 64, 61].iter().map(|cpus| (*cpus, Some(of(i64::from(*cpus))))).collect();
        Count::of(&values)
    }

    #[test]
    fn what_pm2_writes_as_max_is_one_per_cpu() {
        for (value, leave) in
            [(json!("max"), 0), (json!(0), 0), (json!(-1), 1), (json!("-2"), 2), (json!("all"), 0)]
        {
            assert_eq!(count(|_| value.clone()), Count::PerCpu { leave, most: None }, "{value}");
        }
        assert_eq!(count(|_| json!(3)), Count::Fixed(3));
        assert_eq!(count(|_| json!("4")), Count::Fixed(4));
        assert_eq!(Count::of(&[(4, None), (64, None)]), Count::Unset);
    }

    #[test]
    fn what_is_reckoned_from_the_cpus_is_recognised() {
        assert_eq!(count(|cpus| json!(cpus)), Count::PerCpu { leave: 0, most: None });
        assert_eq!(count(|cpus| json!(cpus - 1)), Count::PerCpu { leave: 1, most: None });
        assert_eq!(count(|cpus| json!((cpus - 1).min(6))), Count::PerCpu { leave: 1, most: Some(6) });
        assert_eq!(
            count(|cpus| json!(cpus.min(4))),
            Count::Fixed(4),
            "never more, and never fewer on a machine of today"
        );
        assert_eq!(count(|cpus| json!(cpus / 2)), Count::Depends { few: (4, 2), many: (64, 32) });
        assert_eq!(count(|cpus| json!(cpus + 2)), Count::PerCpu { leave: -2, most: None });
    }
}
