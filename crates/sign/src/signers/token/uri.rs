//! `pkcs11:` URIs (RFC 7512): which key of which token, and what opens it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::passphrase::{Passphrase, Place};

/// What a URI asks for. What it leaves out may be anything.
#[derive(Clone, Default)]
pub struct Uri {
    /// The path as it was written, for messages; it holds no secret.
    text: String,
    /// Label of the token.
    pub token: Option<String>,
    /// Manufacturer of the token.
    pub manufacturer: Option<String>,
    /// Model of the token.
    pub model: Option<String>,
    /// Serial number of the token.
    pub serial: Option<String>,
    /// Slot of the token.
    pub slot_id: Option<u64>,
    /// Label of the key.
    pub object: Option<String>,
    /// Id of the key.
    pub id: Option<Vec<u8>>,
    /// The PIN itself.
    pub pin_value: Option<Passphrase>,
    /// A file with the PIN.
    pub pin_source: Option<PathBuf>,
    /// The module: a file, or with a name the folder it is in.
    pub module_path: Option<PathBuf>,
    /// The module, without `lib` and `.so`.
    pub module_name: Option<String>,
}

impl Uri {
    /// How they start.
    pub const SCHEME: &str = "pkcs11:";

    /// The module that it names.
    #[must_use]
    pub fn module(&self) -> Option<PathBuf> {
        let file = self.module_name.as_ref().map(|name| format!("lib{name}.so"));
        match (&self.module_path, file) {
            (Some(folder), Some(file)) => Some(folder.join(file)),
            (path, file) => path.clone().or(file.map(PathBuf::from)),
        }
    }

    fn set(&mut self, name: &str, value: &str, part: Part) -> Result<(), String> {
        match (part, name) {
            (Part::Path, "token") => once(&mut self.token, text(value, part)?),
            (Part::Path, "manufacturer") => once(&mut self.manufacturer, text(value, part)?),
            (Part::Path, "model") => once(&mut self.model, text(value, part)?),
            (Part::Path, "serial") => once(&mut self.serial, text(value, part)?),
            (Part::Path, "slot-id") => once(&mut self.slot_id, slot(value)?),
            (Part::Path, "object") => once(&mut self.object, text(value, part)?),
            (Part::Path, "id") => once(&mut self.id, octets(value, part)?),
            // The private half signs and the public half says what it is: both are looked for.
            (Part::Path, "type") if ["private", "public"].contains(&value) => Ok(()),
            (Part::Path, "type") => Err("it is not of type private".into()),
            (Part::Query, "pin-value") => once(&mut self.pin_value, pin(octets(value, part)?)?),
            (Part::Query, "pin-source") => once(&mut self.pin_source, file(&text(value, part)?)?),
            (Part::Query, "module-path") => once(&mut self.module_path, text(value, part)?.into()),
            (Part::Query, "module-name") => once(&mut self.module_name, module(text(value, part)?)?),
            _ => Err("it is not known here".into()),
        }
    }
}

impl FromStr for Uri {
    type Err = String;

    /// Each attribute at most once, and none that is not known: one that was ignored could choose another key.
    fn from_str(uri: &str) -> Result<Self, String> {
        let rest = uri.strip_prefix(Self::SCHEME).ok_or("it does not start with pkcs11:")?;
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let mut read = Self { text: format!("{}{path}", Self::SCHEME), ..Self::default() };
        let path = Some(path).filter(|path| !path.is_empty());
        let parts = [(path, ';', Part::Path), (query, '&', Part::Query)];
        let mut types = 0;
        for (attributes, separator, part) in parts {
            for attribute in attributes.into_iter().flat_map(|attributes| attributes.split(separator)) {
                let (name, value) = attribute.split_once('=').ok_or("attributes are NAME=VALUE")?;
                types += usize::from(name == "type");
                read.set(name, value, part).map_err(|problem| format!("attribute {name:?}: {problem}"))?;
            }
        }
        if types > 1 { Err("attribute \"type\": it is given twice".into()) } else { Ok(read) }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Uri {
    /// Without the PIN.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uri({})", self.text)
    }
}

/// Which octets may stand there as they are differs.
#[derive(Clone, Copy)]
enum Part {
    Path,
    Query,
}

fn once<T>(field: &mut Option<T>, value: T) -> Result<(), String> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err("it is given twice".into()),
    }
}

/// Percent-decodes a value (RFC 7512 §2.3).
fn octets(value: &str, part: Part) -> Result<Vec<u8>, String> {
    let allowed = match part {
        Part::Path => "-._~:[]@!$'()*+,=&",
        Part::Query => "-._~:[]@!$'()*+,=/?|",
    };
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let octet = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                octet.ok_or("two hexadecimal digits follow each %")?
            }
            _ if octet.is_ascii_alphanumeric() || allowed.as_bytes().contains(&octet) => octet,
            _ => return Err(format!("write %{octet:02X} for '{}'", octet.escape_ascii())),
        });
    }
    Ok(octets)
}

fn text(value: &str, part: Part) -> Result<String, String> {
    String::from_utf8(octets(value, part)?).map_err(|_| "it is not UTF-8".into())
}

fn slot(value: &str) -> Result<u64, String> {
    let digits = !value.is_empty() && value.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| value.parse().ok()).flatten().ok_or("it is a decimal number".into())
}

fn pin(octets: Vec<u8>) -> Result<Passphrase, String> {
    Passphrase::new(octets, Place::Terminal).map_err(|_| "no PIN has that length".into())
}

/// A path, or a `file:` URI with one.
fn file(value: &str) -> Result<PathBuf, String> {
    let path = value.strip_prefix("file:").unwrap_or(value);
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.starts_with('/') { Ok(path.into()) } else { Err("write the absolute path of a file".into()) }
}

fn module(name: String) -> Result<String, String> {
    if name.is_empty() || name.contains('/') { Err("a path belongs into module-path".into()) } else { Ok(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Uri {
        text.parse().unwrap()
    }

    fn refused(text: &str) -> String {
        text.parse::<Uri>().unwrap_err()
    }

    #[test]
    fn all_attributes_are_read() {
        let uri = read(
            "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=ff;token=a%3bb;slot-id=7;\
             id=%00%ffA;object=release%20key;type=private?pin-value=1%2634&module-path=/usr/lib/x.so",
        );
        let texts = [&uri.model, &uri.manufacturer, &uri.serial, &uri.token, &uri.object].map(|text| text.as_deref());
        assert_eq!(texts, ["SoftHSM v2", "SoftHSM project", "ff", "a;b", "release key"].map(Some));
        assert_eq!((uri.slot_id, uri.id.as_deref()), (Some(7), Some(&[0, 0xff, b'A'][..])));
        assert_eq!(uri.pin_value.as_ref().unwrap().as_bytes(), b"1&34");
        assert_eq!(uri.module(), Some("/usr/lib/x.so".into()));
        assert!(!format!("{uri} {uri:?}").contains("pin"), "{uri} {uri:?}");
    }

    #[test]
    fn modules_and_pins_have_several_forms() {
        assert_eq!(read("pkcs11:").module(), None);
        assert_eq!(read("pkcs11:?module-name=softhsm2").module(), Some("libsofthsm2.so".into()));
        let both = "pkcs11:?module-path=/usr/lib/softhsm&module-name=softhsm2";
        assert_eq!(read(both).module(), Some("/usr/lib/softhsm/libsofthsm2.so".into()));
        for source in ["/run/pin", "file:/run/pin", "file:///run/pin"] {
            assert_eq!(read(&format!("pkcs11:?pin-source={source}")).pin_source, Some("/run/pin".into()));
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, problem) in [
            ("pkcs12:", "does not start"),
            ("pkcs11:token", "NAME=VALUE"),
            ("pkcs11:token=a;", "NAME=VALUE"),
            ("pkcs11:?", "NAME=VALUE"),
            ("pkcs11:token=a;token=b", "given twice"),
            ("pkcs11:type=private;type=public", "given twice"),
            ("pkcs11:type=cert", "not of type private"),
            ("pkcs11:colour=red", "\"colour\": it is not known"),
            ("pkcs11:pin-value=1", "not known"),
            ("pkcs11:?token=a", "not known"),
            ("pkcs11:token=a b", "write %20 for ' '"),
            ("pkcs11:token=a/b", "write %2F"),
            ("pkcs11:token=%zz", "hexadecimal"),
            ("pkcs11:token=%4", "hexadecimal"),
            ("pkcs11:token=%ff", "UTF-8"),
            ("pkcs11:token=\u{fc}", "write %C3"),
            ("pkcs11:slot-id=+1", "decimal"),
            ("pkcs11:slot-id=", "decimal"),
            ("pkcs11:?pin-value=", "no PIN"),
            ("pkcs11:?pin-source=pin", "absolute"),
            ("pkcs11:?pin-source=|cat", "absolute"),
            ("pkcs11:?module-name=../x", "module-path"),
        ] {
            let message = refused(text);
            assert!(message.contains(problem), "{text}: {message}");
        }
    }
}
