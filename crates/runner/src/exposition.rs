//! Prometheus' text format.

use std::fmt::{Display, Write as _};

/// Kind of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Labels as name and value.
pub(crate) type Labels<'a> = [(&'a str, &'a str)];

/// A page that is being written. All samples of a family follow its head.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins a family.
    pub(crate) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// A value of the family.
    pub(crate) fn sample(&mut self, name: &str, labels: &Labels<'_>, value: impl Display) {
        self.text.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let lead = if at == 0 { '{' } else { ',' };
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{lead}{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// A family with one value.
    pub(crate) fn single(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        labels: &Labels<'_>,
        value: impl Display,
    ) {
        self.family(name, kind, help);
        self.sample(name, labels, value);
    }

    /// The page.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// The reader that tests hold pages against.
#[cfg(test)]
#[path = "../tests/support/prometheus.rs"]
pub(crate) mod strict;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    #[should_panic(expected = "two heads")]
    fn the_strict_reader_is_strict() {
        let mut page = Exposition::default();
        page.single("a", Kind::Gauge, "x", &[], 1);
        page.single("a", Kind::Gauge, "x", &[], 2);
        strict::parse(&page.finish());
    }

    proptest! {
        #[test]
        fn a_label_may_hold_anything(text in "(\\PC|\n|\"|\\\\){0,20}", value in any::<f64>().prop_filter("", |v| v.is_finite())) {
            let mut page = Exposition::default();
            page.single("some_name", Kind::Gauge, &text, &[("label", &text)], value);
            let samples = strict::parse(&page.finish());
            let ((_, labels), read) = samples.into_iter().next().unwrap();
            prop_assert_eq!(&labels["label"], &text);
            prop_assert!((read - value).abs() <= value.abs() * 1e-12);
        }
    }
}
