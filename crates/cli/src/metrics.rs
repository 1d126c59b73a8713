//! Metrics in the text form of Prometheus, version 0.0.4.
//!
//! A program has a list of [`Family`], which is all it ever writes; a [`Page`] is what they are at a moment.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::{self, Write as _};

/// What an HTTP answer with a page says it is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What samples of one name mean.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// The name: base units, `_total` behind that of a counter.
    pub name: &'static str,
    /// Whether it only grows.
    pub kind: Kind,
    /// One sentence, without a line feed or backslash.
    pub help: &'static str,
    /// Names of labels that its samples have beside those of the whole page.
    pub labels: &'static [&'static str],
}

/// What a value does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from the start of the program on.
    Counter,
    /// It is what it is.
    Gauge,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

impl Family {
    /// A counter.
    #[must_use]
    pub const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, help, labels }
    }

    /// A gauge.
    #[must_use]
    pub const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, help, labels }
    }
}

/// Makes statics of families, and a list of all of them.
#[macro_export]
macro_rules! families {
    ($(#[$doc:meta])* $all:ident: $($name:ident = $kind:ident($($argument:expr),*);)*) => {
        $(static $name: $crate::metrics::Family = $crate::metrics::Family::$kind($($argument),*);)*
        $(#[$doc])*
        pub static $all: &[&$crate::metrics::Family] = &[$(&$name),*];
    };
}

/// Samples at a moment, by family. Several streams may add theirs in turn: what belongs together comes out together.
#[derive(Debug)]
pub struct Page<'a> {
    /// Labels of every sample that follows.
    labels: Vec<(&'static str, &'a str)>,
    families: Vec<(&'static Family, String)>,
}

impl<'a> Page<'a> {
    /// Nothing yet; each sample will have these labels first.
    #[must_use]
    pub const fn new(labels: Vec<(&'static str, &'a str)>) -> Self {
        Self { labels, families: Vec::new() }
    }

    /// Further samples have these labels first.
    pub fn set_labels(&mut self, labels: Vec<(&'static str, &'a str)>) {
        self.labels = labels;
    }

    /// Adds a sample, with values for the labels of its family, in their order. Times are in seconds of Unix time.
    pub fn put(&mut self, family: &'static Family, values: &[&str], value: impl fmt::Display) {
        debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
        let place = self.families.iter().position(|(other, _)| std::ptr::eq(*other, family)).unwrap_or_else(|| {
            self.families.push((family, String::new()));
            self.families.len() - 1
        });
        let Some((_, text)) = self.families.get_mut(place) else { return };
        text.push_str(family.name);
        let own = family.labels.iter().copied().zip(values.iter().copied());
        for (nth, (name, value)) in self.labels.iter().copied().chain(own).enumerate() {
            text.push(if nth == 0 { '{' } else { ',' });
            text.push_str(name);
            text.push_str("=\"");
            escape(text, value);
            text.push('"');
        }
        if !self.labels.is_empty() || !values.is_empty() {
            text.push('}');
        }
        // Writing into a String cannot fail.
        let _ = writeln!(text, " {value}");
    }

    /// Adds a sample if there is a value.
    pub fn put_some(&mut self, family: &'static Family, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.put(family, &[], value);
        }
    }

    /// Adds a sample for each value of the family's only label.
    pub fn put_each<'b, V: fmt::Display>(
        &mut self,
        family: &'static Family,
        samples: impl IntoIterator<Item = (&'b str, V)>,
    ) {
        for (label, value) in samples {
            self.put(family, &[label], value);
        }
    }
}

/// Writes the text form.
impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (Family { name, kind, help, .. }, samples) in &self.families {
            write!(f, "# HELP {name} {help}\n# TYPE {name} {}\n{samples}", kind.word())?;
        }
        Ok(())
    }
}

/// A label's value may be anything in UTF-8.
fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static PACKETS: Family = Family::counter("x_packets_total", &["code"], "Packets.");
    static LOSS: Family = Family::gauge("x_loss_ratio", &[], "Loss.");

    #[test]
    fn samples_of_a_family_come_together_and_labels_are_escaped() {
        let mut page = Page::new(vec![("stream", "a")]);
        page.put(&PACKETS, &["\"\\\n"], 1);
        page.put(&LOSS, &[], 0.25);
        page.set_labels(vec![("stream", "b")]);
        page.put(&PACKETS, &["x"], u64::MAX);
        page.put_some(&LOSS, None::<f64>);
        let expected = "# HELP x_packets_total Packets.\n# TYPE x_packets_total counter\n\
                        x_packets_total{stream=\"a\",code=\"\\\"\\\\\\n\"} 1\n\
                        x_packets_total{stream=\"b\",code=\"x\"} 18446744073709551615\n\
                        # HELP x_loss_ratio Loss.\n# TYPE x_loss_ratio gauge\nx_loss_ratio{stream=\"a\"} 0.25\n";
        assert_eq!(page.to_string(), expected);
    }

    #[test]
    fn without_labels_there_are_no_braces() {
        let mut page = Page::new(Vec::new());
        page.put(&LOSS, &[], 0);
        assert!(page.to_string().ends_with("\nx_loss_ratio 0\n"));
    }
}
