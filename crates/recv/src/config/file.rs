//! The file's form. Values are checked in [`super::settings`], where those of flags are.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::ConfineMode;

/// A file as it is written. All keys may be missing: flags can stand in.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    pub(super) root: Option<Spanned<String>>,
    pub(super) trust: Option<Spanned<Vec<String>>>,
    pub(super) threshold: Option<Spanned<u8>>,
    pub(super) built: Option<Spanned<Moment>>,
    pub(super) vendor: Option<Spanned<String>>,
    pub(super) classes: Option<Spanned<Vec<String>>>,
    pub(super) hardware: Option<Spanned<u64>>,
    pub(super) wave: Option<Spanned<u16>>,
    #[serde(default)]
    pub(super) ignore_waves: bool,
    pub(super) interface: Option<Spanned<OneOrMore>>,
    pub(super) groups: Option<Spanned<Vec<String>>>,
    pub(super) domain: Option<Spanned<String>>,
    pub(super) dns: Option<Spanned<OneOrMore>>,
    pub(super) source: Option<Spanned<OneOrMore>>,
    pub(super) layers: Option<Spanned<u8>>,
    pub(super) state: Option<Spanned<String>>,
    pub(super) seeds: Option<Spanned<Vec<String>>>,
    pub(super) runtime: Option<Spanned<String>>,
    pub(super) page: Option<Spanned<String>>,
    pub(super) receive_buffer: Option<Spanned<String>>,
    pub(super) max_packet: Option<Spanned<u16>>,
    pub(super) staging: Option<Spanned<u16>>,
    pub(super) progress_interval: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) target: Vec<Target>,
    pub(super) boot: Option<Spanned<Boot>>,
    pub(super) exec: Option<Spanned<Exec>>,
    #[serde(default)]
    pub(super) trial: Trial,
    #[serde(default)]
    pub(super) hooks: Hooks,
    #[serde(default)]
    pub(super) freshness: Freshness,
    #[serde(default)]
    pub(super) metrics: Metrics,
    pub(super) nack: Option<Nack>,
    pub(super) repair: Option<Repair>,
    pub(super) report: Option<Report>,
    #[serde(default)]
    pub(super) confine: Confine,
}

/// A list, or a single value without the brackets.
#[derive(Debug)]
pub(super) struct OneOrMore(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Vec<String>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E>(self, one: &str) -> Result<Self::Value, E> {
                Ok(vec![one.to_owned()])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list))
            }
        }
        deserializer.deserialize_any(Form).map(Self)
    }
}

/// A time, or the number of its second, as text.
#[derive(Debug)]
pub(super) struct Moment(pub(super) String);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl Visitor<'_> for Form {
            type Value = String;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time in quotes, or Unix time in seconds")
            }

            fn visit_str<E>(self, text: &str) -> Result<String, E> {
                Ok(text.to_owned())
            }

            fn visit_i64<E>(self, seconds: i64) -> Result<String, E> {
                Ok(seconds.to_string())
            }
        }
        deserializer.deserialize_any(Form).map(Self)
    }
}

/// A program and its arguments.
pub(super) type Command = Spanned<Vec<String>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Boot {
    pub(super) adapter: Command,
    pub(super) attempts: Option<Spanned<u8>>,
    pub(super) timeout: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Exec {
    pub(super) program: Command,
    pub(super) timeout: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) trial: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Trial {
    pub(super) health_check: Option<Command>,
    pub(super) interval: Option<Spanned<String>>,
    pub(super) timeout: Option<Spanned<String>>,
    pub(super) deadline: Option<Spanned<String>>,
    pub(super) restart: Option<Command>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Hooks {
    pub(super) before_install: Option<Command>,
    pub(super) after_install: Option<Command>,
    pub(super) after_commit: Option<Command>,
    pub(super) after_rollback: Option<Command>,
    pub(super) on_stale: Option<Command>,
    pub(super) timeout: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Freshness {
    pub(super) trust_clock: bool,
    pub(super) install_when_stale: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Metrics {
    pub(super) file: Option<Spanned<String>>,
    pub(super) interval: Option<Spanned<String>>,
    pub(super) listen: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Nack {
    pub(super) to: Spanned<String>,
    pub(super) hops: Option<u8>,
    pub(super) window: Option<Spanned<String>>,
    pub(super) hold: Option<Spanned<String>>,
    pub(super) per_minute: Option<Spanned<u8>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Repair {
    pub(super) servers: Spanned<Vec<String>>,
    pub(super) after: Option<Spanned<String>>,
    pub(super) missing_below: Option<Spanned<u8>>,
    pub(super) window: Option<Spanned<String>>,
    pub(super) max_octets: Option<Spanned<String>>,
    pub(super) rate: Option<Spanned<String>>,
    pub(super) ca: Option<Spanned<String>>,
    pub(super) timeout: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Report {
    pub(super) url: Spanned<String>,
    pub(super) id: Spanned<String>,
    pub(super) token: Option<Spanned<String>>,
    pub(super) delay: Option<Spanned<String>>,
    pub(super) timeout: Option<Spanned<String>>,
    pub(super) ca: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Confine {
    pub(super) mode: ConfineMode,
    pub(super) write: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Target {
    pub(super) name: Spanned<String>,
    pub(super) path: Option<Spanned<String>>,
    pub(super) slots: Option<Spanned<[String; 2]>>,
    pub(super) max_size: Option<Spanned<String>>,
}
