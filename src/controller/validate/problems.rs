//! What is wrong with a spec.

use std::fmt;

/// One thing that is wrong, and the right form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field, such as `spec.killTimeout`.
    pub field: String,
    /// What it must be instead.
    pub message: String,
}

/// Everything that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn add(&mut self, field: &str, message: &str) {
        self.0.push(Problem { field: field.to_owned(), message: message.to_owned() });
    }

    /// The value of a result, or a fallback and a problem.
    pub fn take<T, E: fmt::Display>(&mut self, field: &str, result: Result<T, E>, fallback: T) -> T {
        result.unwrap_or_else(|error| {
            self.add(field, &error.to_string());
            fallback
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { field, message }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{field}: {message}")?;
        }
        Ok(())
    }
}
