//! Vendors and device classes: names for people, UUIDs on the wire (spec §4).

use fleetcast_core::manifest::Uuid;

/// A vendor by its domain name, or by its UUID as such.
///
/// A name gives the version 5 UUID of its lower-case form in the DNS namespace (RFC 9562 §6.6), as RFC 9124 §3.3 recommends.
///
/// # Errors
///
/// A message if `text` is empty or has white space or control characters.
pub fn vendor(text: &str) -> Result<Uuid, String> {
    parse(text, |name| uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_DNS, name.to_ascii_lowercase().as_bytes()))
}

/// A device class by its name, or by its UUID as such.
///
/// A name gives the version 5 UUID with the vendor's UUID as namespace (RFC 9124 §3.4). Names are case-sensitive.
///
/// # Errors
///
/// As [`vendor`].
pub fn class(vendor: Uuid, text: &str) -> Result<Uuid, String> {
    parse(text, |name| uuid::Uuid::new_v5(&uuid::Uuid::from_bytes(vendor.0), name.as_bytes()))
}

fn parse(text: &str, name: impl FnOnce(&str) -> uuid::Uuid) -> Result<Uuid, String> {
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("{text:?} is neither a name nor a UUID: it is empty or has spaces"));
    }
    let uuid = uuid::Uuid::try_parse(text).unwrap_or_else(|_| name(text));
    Ok(Uuid(uuid.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_the_uuids_that_python_gives() {
        // uuid.uuid5(uuid.NAMESPACE_DNS, "acme.example"), then uuid5 of that and "board-a".
        let acme = vendor("Acme.example").unwrap();
        assert_eq!(acme.to_string(), "0637e301-e05d-505b-8267-486f5677de9b");
        assert_eq!(class(acme, "board-a").unwrap().to_string(), "ea02ba25-e641-5c2f-b3c3-37779a8ee9af");
    }

    #[test]
    fn a_uuid_stands_for_itself() {
        let text = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
        assert_eq!(vendor(text).unwrap().to_string(), text);
        assert_eq!(class(Uuid([0; 16]), text).unwrap().to_string(), text);
    }

    #[test]
    fn blanks_are_refused() {
        assert!(vendor("").is_err());
        assert!(vendor("acme example").is_err());
    }
}
