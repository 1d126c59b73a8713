"""Octets beside their meaning, for the worked example."""

from . import cbor, packet, statement

WIDTH = 16
STATEMENT_KINDS = ["manifest", "root", "beacon"]
MANIFEST = ["structure version", "sequence", "security version", "version", "vendor", "classes", "components", "from",
            "hardware", "waves"]
COMPONENT = ["name", "target", "size", "sha256", "format: raw", "fec: section 7", "chunk, T", "cell", "repair",
             "digest, D", "cap"]


def rows(octets: bytes, text: str = "", width: int = WIDTH) -> list[str]:
    """Lines of at most `width` octets in hexadecimal, `text` beside the first."""
    cut = [octets[at : at + width].hex() for at in range(0, len(octets), width)]
    return [f"{cut[0]:<{2 * width}}  {text}".rstrip()] + cut[1:]


def block(lines: list[str]) -> str:
    """Lines as they are, in Markdown."""
    return "\n".join(["```text", *lines, "```"])


def table(head: list[str], body: list[list]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def header(datagram: bytes) -> list[str]:
    """The 20 octets of section 2."""
    fields = packet.parse(datagram)
    word = [datagram[at : at + 4] for at in range(0, 20, 4)]
    if fields["kind"] == "statement":
        where = f"kind {fields['statement-kind']}: {STATEMENT_KINDS[fields['statement-kind']]}; number 0"
    elif fields["kind"] == "chunk":
        where = f"block {fields['sbn']}, encoding symbol id {fields['esi']}"
    else:
        where = f"cell {fields['cell']}"
    of = f", of component {fields['component']}" if "component" in fields else ""
    return [
        *rows(word[0][:1], "LCT version 1, a CCI of 32 bits (W-1)", 4),
        *rows(word[0][1:2], "TSI and TOI of 32 bits, no close bits (W-2)", 4),
        *rows(word[0][2:3], "header of 4 words (W-3)", 4),
        *rows(word[0][3:], f"codepoint {datagram[3]}: {fields['kind'].replace('-', ' ')} (W-4)", 4),
        *rows(word[1], f"CCI: layer {fields['layer']}, count {fields['count']} (W-5)", 4),
        *rows(word[2], "TSI (W-6)", 4),
        *rows(word[3], f"TOI {fields['toi']}: {fields['kind'].replace('-', ' ')}{of} (W-7)", 4),
        *rows(word[4], f"FEC payload id: {where} (W-8)", 4),
    ]


def envelope(octets: bytes) -> list[str]:
    """The template of S-1, without the payload."""
    payload, pairs = statement.parse(octets)
    head = cbor.head(2, len(payload))
    lines = [*rows(b"\x82", "array(2)"), *rows(head, f"  bstr({len(payload)}): the payload"),
             f"{'...':<{2 * WIDTH}}    {len(payload)} octets, see below",
             *rows(cbor.head(4, len(pairs)), f"  array({len(pairs)}): the signatures")]
    for protected, signature in pairs:
        lines += [
            *rows(b"\x84", "    array(4): COSE_Sign1"),
            *rows(b"\x4d", "      bstr(13): the protected header"),
            *rows(protected[:1], "        map(2)"),
            *rows(protected[1:3], "          1 (alg): -19, Ed25519 (S-3)"),
            *rows(protected[3:5], "          4 (kid): bstr(8)"),
            *rows(protected[5:], "            SHA-256(public key)[0..8] (S-4)"),
            *rows(b"\xa0", "      {}: the unprotected header"),
            *rows(b"\xf6", "      null: the payload is detached"),
            *rows(b"\x58\x40", "      bstr(64): the signature"),
            *rows(signature, "        R, then S (S-6)"),
        ]
    rejoined = b"".join(bytes.fromhex(line.split()[0].replace("...", payload.hex())) for line in lines)
    assert rejoined == octets
    return lines


def notation(payload: bytes) -> list[str]:
    """A manifest: its octets beside the diagnostic notation of RFC 8949 section 8."""
    lines = _item(cbor.decode(payload), MANIFEST)
    assert b"".join(bytes.fromhex(line[: 2 * WIDTH].strip()) for line in lines) == payload
    return lines


def _item(value, names: list[str], text: str = "", key: bytes = b"", comma: str = "", note: str = "") -> list[str]:
    """An item, with the text and the octets of its key; `names` are those of a map's keys."""
    indent = " " * (len(text) - len(text.lstrip()))
    note = f"  / {note} /" if note else ""
    if isinstance(value, dict):
        lines = rows(key + cbor.head(5, len(value)), f"{text}{{{note}")
        for at, (number, item) in enumerate(value.items(), 1):
            after = "," if at < len(value) else ""
            lines += _item(item, names, f"{indent}  {number}: ", cbor.encode(number), after, names[number])
        return lines + [f"{'':<{2 * WIDTH}}  {indent}}}{comma}"]
    if isinstance(value, list):
        lines = rows(key + cbor.head(4, len(value)), f"{text}[{note}")
        for at, item in enumerate(value, 1):
            lines += _item(item, COMPONENT, f"{indent}  ", comma="," if at < len(value) else "")
        return lines + [f"{'':<{2 * WIDTH}}  {indent}]{comma}"]
    if isinstance(value, bytes):
        return rows(key + cbor.head(2, len(value)), f"{text}h'{note}") + _string(value, f"{indent}  ", f"'{comma}")
    shown = f'"{value}"' if isinstance(value, str) else value
    return rows(key + cbor.encode(value), f"{text}{shown}{comma}{note}")


def _string(value: bytes, indent: str, end: str) -> list[str]:
    """A long byte string, 16 octets a line."""
    parts = [value[at : at + WIDTH] for at in range(0, len(value), WIDTH)]
    ends = [""] * (len(parts) - 1) + [end]
    return [f"{part.hex():<{2 * WIDTH}}  {indent}{part.hex()}{last}" for part, last in zip(parts, ends)]


def packets(datagrams: dict[int, bytes]) -> str:
    """Whole packets by number."""
    lines = []
    for number, datagram in datagrams.items():
        lines += [f"packet {number}", *rows(datagram, width=32)]
    return block(lines)
