//! Words of ours in plain words.

/// What packets that were dropped for this cause (spec §12) were.
pub(super) fn dropped(code: &str) -> &'static str {
    match code {
        "truncated" | "version" | "flags" | "header-length" | "codepoint" | "toi" | "statement-kind" | "tsi" => {
            "damaged, or not of Fleetcast"
        }
        "length" | "range" => "of no place that the release has",
        "template" | "cbor" | "schema" | "structure-version" | "geometry" => "malformed statements",
        "threshold" => "statements that too few trusted keys have signed",
        "scope" | "root-version" => "statements of keys that may not make them",
        "page-digest" | "chunk-digest" => "data that are not those of the signed release",
        "beacon-replay" => "beacons older than the newest",
        "other-session" => "of a release that is not followed",
        "no-page" => "data that came long before what verifies them",
        "no-room" => "data for which there was no room at the time",
        "refused-before" => "of a release that was refused before",
        "budget" => "more statements at once than are checked",
        "outnumbered" => "statements that others crowded out",
        "stored-page" => "data for which the storage gave back something wrong",
        "rollback" | "installed" | "superseded" => "of an older release, or the installed one",
        "vendor" | "class" | "hardware" | "target" | "from" => "of a release for other devices",
        _ => "see section 12 of the specification",
    }
}

/// What a state of freshness means.
pub(super) fn freshness(state: &str) -> &'static str {
    match state {
        "off" => "not watched: the root asks for no beacons",
        "waiting" => "waiting for a first beacon",
        "fresh" => "fresh: what is current is known",
        "stale" => "stale: what is current is not known, as no new beacon comes",
        "behind" => "behind: a root is missing, and nothing is installed until it comes",
        _ => "unknown",
    }
}

/// Why a release that is complete is not installed yet.
pub(super) fn waiting(code: &str) -> &'static str {
    match code {
        "wave" => "its time for this device has not come",
        "program-later" => "the program before-install asks to wait",
        "stale" => "what is current is not known",
        "behind" => "a root is missing",
        "waiting" => "no beacon has come yet",
        _ => "it is tried again",
    }
}
