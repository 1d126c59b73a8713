//! `packaging/grafana`: what it shows exists, and all that exists is documented.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use fleetcast_cli::metrics::Family;
use fleetcast_netlab::command_line::shipped;
use fleetcast_send::watch::metrics::{RELAY, RELAY_LABELS, RUN, RUN_LABELS, STREAM_LABEL};
use serde_json::Value;

fn file(name: &str) -> PathBuf {
    shipped(&format!("packaging/grafana/{name}"))
}

fn all() -> [(&'static str, &'static [&'static Family], &'static [&'static str]); 3] {
    [
        ("`fleetcast-send run`", RUN, &RUN_LABELS),
        ("`fleetcast-send relay`", RELAY, &RELAY_LABELS),
        ("`fleetcast-recv receive`", fleetcast_recv::metrics::ALL, &[]),
    ]
}

fn is_part_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Names of metrics in a text.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|c| !is_part_of_name(c)).filter(|word| word.starts_with("fleetcast_")).collect()
}

#[track_caller]
fn assert_exist(text: &str) {
    let known: BTreeSet<_> = all().iter().flat_map(|(_, families, _)| families.iter().map(|f| f.name)).collect();
    let unknown: Vec<_> = names(text).difference(&known).copied().collect();
    assert!(unknown.is_empty(), "no program writes {unknown:?}");
}

#[test]
fn names_follow_the_conventions_of_prometheus() {
    for family in all().iter().flat_map(|(_, families, _)| families.iter()) {
        let Family { name, kind, help, labels } = family;
        assert_eq!(name.ends_with("_total"), kind.word() == "counter", "{name}");
        assert!(name.chars().all(|c| is_part_of_name(c) && !c.is_ascii_uppercase()), "{name}");
        assert!(help.ends_with('.') && !help.contains(['\n', '\\']), "{name}");
        assert!(
            !["stream", "group", "interface", "upstream", "downstream", "instance", "job"]
                .iter()
                .any(|l| labels.contains(l))
        );
        // Base units, and no others.
        assert!(
            !["_ms", "millis", "octets", "_bits", "kib", "percent", "minutes"].iter().any(|u| name.contains(u)),
            "{name}"
        );
    }
}

#[test]
fn the_dashboard_is_json_and_asks_for_what_is_written() {
    let dashboard: Value = serde_json::from_slice(&fs::read(file("fleetcast.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!(targets.is_empty(), panel["type"] == "row", "{panel}");
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            assert!(!names(expression).is_empty(), "{expression}");
            assert_exist(expression);
        }
    }
    assert!(ids.len() > 20);
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let query = variable["query"]["query"].as_str().unwrap_or_default();
        assert_exist(
            &query.replace("fleetcast_(send|relay)_running", "fleetcast_send_running fleetcast_relay_running"),
        );
    }
}

#[test]
fn alerts_ask_for_what_is_written_and_are_explained() {
    let rules = fs::read_to_string(file("fleetcast.rules.yml")).unwrap();
    assert_exist(&rules);
    let readme = fs::read_to_string(file("README.md")).unwrap();
    let alerts: BTreeSet<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 8);
    let explained: BTreeSet<_> =
        readme.split(|c| !is_part_of_name(c)).filter(|word| word.starts_with("Fleetcast") && word.len() > 9).collect();
    assert_eq!(alerts, explained);
}

/// With `UPDATE_SNAPSHOTS=1` it writes them.
#[test]
fn every_metric_is_in_the_list_and_no_other() {
    let readme = fs::read_to_string(file("README.md")).unwrap();
    let mut list = String::new();
    for (program, families, common) in all() {
        let of_all = common.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(" and ");
        let mut of_all = if common.is_empty() { String::new() } else { format!(" All have the labels {of_all}.") };
        if std::ptr::eq(families, RUN) {
            write!(of_all, " With `--config` they have `{STREAM_LABEL}` too.").unwrap();
        }
        writeln!(list, "### {program}\n\nPrometheus adds `job` and `instance`.{of_all}\n").unwrap();
        writeln!(list, "| Metric | Kind | Labels | What it is |\n| --- | --- | --- | --- |").unwrap();
        for Family { name, kind, help, labels } in families {
            let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            let help = help.trim_end_matches('.');
            writeln!(list, "| `{name}` | {} | {labels} | {help} |", kind.word()).unwrap();
        }
        list.push('\n');
    }
    let list = list.trim_end().to_owned() + "\n";
    let start = readme.find("### ").unwrap_or(readme.len());
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fleetcast_netlab::fleet::write(&file("README.md"), format!("{}{list}", &readme[..start]).as_bytes());
        return;
    }
    assert_eq!(&readme[start..], list, "run it with UPDATE_SNAPSHOTS=1");
}
