"""Sign and verify statements with the package `cwt`: `cose.py sign KEY TEXT PAYLOAD STATEMENT ALGORITHM...`, which makes a
signature by each algorithm, and `cose.py verify PUB TEXT STATEMENT`, which prints algorithm and key id of each signature.

A statement is `[payload, [*COSE_Sign1]]`; its signatures are detached and cover TEXT as `external_aad`.
"""

import hashlib
import sys
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives.serialization import (
    Encoding, PublicFormat, load_pem_private_key, load_pem_public_key)
from cwt import COSE, COSEKey, COSEMessage

ALG, KID, SIGN1 = 1, 4, 18


def key_id(public) -> bytes:
    return hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).digest()[:8]


def sign(pem: bytes, text: bytes, payload: bytes, algorithm: str) -> list:
    """A `COSE_Sign1` without its payload."""
    kid = key_id(load_pem_private_key(pem, None).public_key())
    key = COSEKey.from_pem(pem, alg=algorithm, kid=kid)
    message = COSE.new().encode_and_sign(payload, key, protected={ALG: key.alg, KID: kid}, external_aad=text)
    detached, _ = COSEMessage.loads(message).detach_payload()
    return cbor2.loads(detached.dumps()).value


def verify(pem: bytes, text: bytes, payload: bytes, signature: list) -> str:
    """The algorithm and key id under which a signature is valid."""
    headers = cbor2.loads(signature[0])
    key = COSEKey.from_pem(pem, alg=headers[ALG], kid=key_id(load_pem_public_key(pem)))
    message = cbor2.dumps(cbor2.CBORTag(SIGN1, signature))
    COSE.new(verify_kid=True).decode(message, key, external_aad=text, detached_payload=payload)
    return f"{headers[ALG]} {headers[KID].hex()}"


def main(command: str, key: str, text: str, file: str, *rest: str) -> None:
    pem, aad, octets = Path(key).read_bytes(), text.encode(), Path(file).read_bytes()
    if command == "sign":
        statement, *algorithms = rest
        signatures = [sign(pem, aad, octets, algorithm) for algorithm in algorithms]
        Path(statement).write_bytes(cbor2.dumps([octets, signatures]))
    else:
        payload, signatures = cbor2.loads(octets)
        for signature in signatures:
            print(verify(pem, aad, payload, signature))


main(*sys.argv[1:])
