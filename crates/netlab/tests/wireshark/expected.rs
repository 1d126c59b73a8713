//! What Wireshark should read in a datagram, by our own reading.

use fleetcast_core::nack::{Entry, Request};
use fleetcast_core::tree::Tree;
use fleetcast_core::trust::Envelope;
use fleetcast_core::wire::{Object, Packet, StatementKind};

use super::Fields;

/// What is compared in every frame.
pub(crate) const FIELDS: [&str; 27] = [
    "fleetcast.kind",
    "fleetcast.layer",
    "fleetcast.count",
    "fleetcast.tsi",
    "fleetcast.toi",
    "fleetcast.component",
    "fleetcast.sbn",
    "fleetcast.esi",
    "fleetcast.cell",
    "fleetcast.repair",
    "fleetcast.position",
    "fleetcast.slot",
    "fleetcast.offset",
    "fleetcast.payload_length",
    "fleetcast.digests",
    "fleetcast.path_length",
    "fleetcast.statement",
    "fleetcast.number",
    "fleetcast.signatures",
    "fleetcast.kid",
    "fleetcast.alg",
    "fleetcast.sequence",
    "fleetcast.root",
    "fleetcast.request",
    "fleetcast.slots",
    "fleetcast.page_wanted",
    "fleetcast.code",
];

/// What is compared of Wireshark's own dissector of ALC.
pub(crate) const ALC_FIELDS: [&str; 6] =
    ["rmt-lct.codepoint", "rmt-lct.cci", "rmt-lct.tsi", "rmt-lct.toi", "rmt-fec.sbn", "rmt-fec.esi"];

/// What the dissector should read in a datagram, by our own reading; the trees are those of a manifest that came before.
pub(crate) fn expected(datagram: &[u8], trees: &[Tree]) -> Fields {
    if let Ok(request) = Request::decode(datagram) {
        return expected_request(&request);
    }
    let mut fields = Fields::new();
    let packet = match Packet::decode(datagram) {
        Ok(packet) => packet,
        Err(error) => return [("fleetcast.code", error.code().to_owned())].into(),
    };
    let mut put = |name, value: u64| fields.insert(name, value.to_string());
    put("fleetcast.kind", datagram[3].into());
    put("fleetcast.layer", packet.header.layer.into());
    put("fleetcast.count", packet.header.count.into());
    put("fleetcast.toi", u32::from_be_bytes(datagram[12..16].try_into().unwrap()).into());
    put("fleetcast.payload_length", packet.payload.len() as u64);
    match packet.header.object {
        Object::Statement { kind, number } => {
            put("fleetcast.statement", kind as u64);
            put("fleetcast.number", number.into());
            expected_statement(kind, number, packet.payload, trees.len(), &mut fields);
        }
        Object::Page { kind, component, cell } => {
            put("fleetcast.component", component.into());
            put("fleetcast.cell", cell.into());
            if let Some(tree) = trees.get(usize::from(component)) {
                let digests = tree.check_page(kind, cell, packet.payload).unwrap().len() / tree.geometry().digest_len();
                put("fleetcast.digests", digests as u64);
                put("fleetcast.path_length", tree.geometry().path_digests().into());
            }
        }
        Object::Chunk { component, sbn, esi } => {
            put("fleetcast.component", component.into());
            put("fleetcast.sbn", sbn.into());
            put("fleetcast.esi", esi.into());
            if let Some(geometry) = trees.get(usize::from(component)).map(Tree::geometry) {
                let position = geometry.position(sbn, esi).unwrap();
                let (cell, slot) = geometry.slot(position);
                put("fleetcast.repair", u64::from(position >= geometry.source_chunks()));
                put("fleetcast.position", position.into());
                put("fleetcast.cell", cell.into());
                put("fleetcast.slot", slot as u64);
                if let Some((offset, _)) = geometry.image_range(position) {
                    put("fleetcast.offset", offset);
                }
            }
        }
    }
    fields.insert("fleetcast.tsi", format!("0x{}", packet.header.tsi));
    fields
}

/// All releases under test have sequence 7, and all roots version 1.
fn expected_statement(kind: StatementKind, number: u16, statement: &[u8], components: usize, fields: &mut Fields) {
    let Ok(envelope) = Envelope::parse(statement) else {
        fields.remove("fleetcast.payload_length");
        fields.insert("fleetcast.code", "template".to_owned());
        return;
    };
    let signatures: Vec<_> = envelope.signatures().collect();
    let join = |values: Vec<String>| values.join(",");
    fields.insert("fleetcast.payload_length", envelope.payload().len().to_string());
    fields.insert("fleetcast.signatures", signatures.len().to_string());
    fields.insert("fleetcast.kid", join(signatures.iter().map(|s| s.kid.to_string()).collect()));
    fields.insert("fleetcast.alg", join(signatures.iter().map(|_| "-19".to_owned()).collect()));
    match kind {
        StatementKind::Manifest => {
            fields.insert("fleetcast.component", join((0..components).map(|number| number.to_string()).collect()));
            fields.insert("fleetcast.sequence", "7".to_owned());
        }
        StatementKind::Root => {
            fields.insert("fleetcast.root", number.to_string());
        }
        StatementKind::Beacon => {
            fields.insert("fleetcast.sequence", "7".to_owned());
            fields.insert("fleetcast.root", "1".to_owned());
        }
    }
}

fn expected_request(request: &Request<'_>) -> Fields {
    let hex = format!("{:032x}", u128::from_be_bytes(request.release));
    let all = |value: &dyn Fn(Entry) -> String| request.entries().map(value).collect::<Vec<_>>().join(",");
    [
        ("fleetcast.tsi", format!("0x{}", &hex[..8])),
        ("fleetcast.component", all(&|entry| entry.component.to_string())),
        ("fleetcast.cell", all(&|entry| entry.cell.to_string())),
        ("fleetcast.page_wanted", all(&|entry| u8::from(entry.page).to_string())),
        ("fleetcast.slots", all(&|entry| format!("{:#018x}", entry.slots))),
        ("fleetcast.request", hex),
    ]
    .into()
}

/// What Wireshark's own dissector of ALC should read. It takes the codepoint for the encoding id of a FEC scheme, and cuts the
/// four octets of the FEC payload id as that scheme would.
pub(crate) fn expected_alc(datagram: &[u8]) -> Fields {
    let word = |at: usize| u32::from_be_bytes(datagram[at..at + 4].try_into().unwrap());
    let id = word(16);
    let (block, symbol) = match datagram[3] {
        2 => (id, word(20)),
        3 => (id >> 20, id & 0xF_FFFF),
        _ => (id >> 16, id & 0xFFFF),
    };
    [
        ("rmt-lct.codepoint", datagram[3].to_string()),
        ("rmt-lct.cci", format!("{:08x}", word(4))),
        ("rmt-lct.tsi", word(8).to_string()),
        ("rmt-lct.toi", word(12).to_string()),
        ("rmt-fec.sbn", block.to_string()),
        ("rmt-fec.esi", format!("{symbol:#010x}")),
    ]
    .into()
}
