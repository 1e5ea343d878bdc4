use std::sync::OnceLock;

use regex::bytes::Regex;

/// Markers of private keys. Searching for these first is several times as fast as matching all forms.
const HINTS: &str = r"(?i-u)PRIVATE[ -]KEY|PrivateKey|PresharedKey|PuTTY-User-Key-File|AGE-SECRET-KEY|private_key|OpenVPN Static key|untrusted comment:|protected-private|Private-Lines|ed25519v1-secret|:_auth|:_password|pypi-|aws_secret_access_key|CRUdJTi|JFR0lOI|tLUJFR0l";

/// The textual forms of private keys. Each pattern requires enough key data that a program, a manual or a test that
/// only mentions a key does not match. A line may end with an escaped newline, as in a JSON string, and the key may
/// be truncated at the end of the file.
const FORMS: [&str; 13] = [
    // PEM, with the headers of encrypted keys and of PGP, on lines of its own or on one
    r"----[- ]?BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?[- ]-{4,}EOLS(?:[A-Z][A-Za-z-]*: [^\r\n\\]*EOLS)*(?:[A-Za-z0-9+/=]EOLS?){4,}(?:-----END|---- END|\z)",
    // The same, truncated
    r"----[- ]?BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?[- ]-{4,}EOLS(?:[A-Z][A-Za-z-]*: [^\r\n\\]*EOLS)*[A-Za-z0-9+/=]{40,}",
    r"BEGIN OpenVPN Static key V1-----EOLS[0-9a-f]{16,}",
    r"(?m)^PuTTY-User-Key-File-[0-9]+: (?s:.)*^Private-Lines: [0-9]",
    r"AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Za-z]{20,}",
    // WireGuard
    r"(?mi)^[ \t]*(?:PrivateKey|PresharedKey)[ \t]*=[ \t]*[A-Za-z0-9+/]{43}=",
    // Service accounts
    r#"\\?"private_key\\?"\s*:\s*\\?"[^"\\]{16,}"#,
    // minisign, signify
    r"(?m)^untrusted comment:[^\n]*\n(?:RWRTY0Iy|RWRCS)[A-Za-z0-9+/]{20,}",
    // GnuPG
    r"\([0-9]*:?(?:(?:protected|shadowed)-)?private-key",
    // DNSSEC
    r"(?m)^Private-key-format: v1|^PrivateKey: [A-Za-z0-9+/]{20,}",
    r"== ed25519v1-secret: ",
    // PEM in base64, as in Kubernetes secrets
    r"(?:LS0tLS1CRUdJTi|LS0tQkVHSU4g|0tLS0tQkVHSU4g|tLS0tLUJFR0lOI)[A-Za-z0-9+/]{0,40}(?:UFJJVkFURSBLRV|BSSVZBVEUgS0VZ|QUklWQVRFIEtFW)",
    // Not keys, but equivalent: tokens of npm, PyPI and AWS
    r"(?mi)^[^\r\n]*:_(?:authToken|auth|password)[ \t]*=[ \t]*[^\s$]{8,}|^[ \t]*password[ \t]*[:=][ \t]*pypi-\w{16,}|^[ \t]*aws_secret_access_key[ \t]*=[ \t]*[A-Za-z0-9/+]{40}",
];

/// The separator of the lines of a key.
const END_OF_LINE: &str = r"(?:(?:\s|\\r|\\n)+)";

/// First bytes of files that hold only private keys.
const BEGINNINGS: [&[u8]; 3] = [
    b"SSH PRIVATE KEY FILE FORMAT 1.1\n",
    b"\0\0\0\x02\0\0\0\x14", // a key store of Bouncy Castle
    b"\x03\xd9\xa2\x9a",     // KeePass
];

/// Whether content holds a private key, recognized by its form: PEM and similar, PuTTY, age, WireGuard, service
/// accounts, minisign and signify, GnuPG, PKCS#1, PKCS#8, PKCS#12 and Java key stores; tokens of npm, PyPI and AWS
/// count too. The start and the end of a large file are sufficient. Compressed or encrypted content is not inspected.
#[must_use]
pub fn holds_private_key(content: &[u8]) -> bool {
    if let [0xff, 0xfe, text @ ..] | [0xfe, 0xff, text @ ..] = content {
        // UTF-16: only the ASCII characters matter.
        let ascii: Vec<u8> = text.iter().copied().filter(|byte| *byte != 0).collect();
        return is_in_text(&ascii);
    }
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    BEGINNINGS.iter().any(|begin| content.starts_with(begin))
        || der::is_key(content)
        || java::is_key_store(content)
        || is_openpgp(content)
        || is_in_text(content)
}

fn is_in_text(content: &[u8]) -> bool {
    static HINT: OnceLock<Regex> = OnceLock::new();
    static FORM: OnceLock<Regex> = OnceLock::new();
    let hint = HINT.get_or_init(|| compiled(HINTS));
    let forms = || {
        let forms = FORMS.map(|form| format!("(?:{form})"));
        compiled(&format!(
            "(?-u){}",
            forms.join("|").replace("EOLS", END_OF_LINE)
        ))
    };
    hint.is_match(content) && FORM.get_or_init(forms).is_match(content)
}

fn compiled(pattern: &str) -> Regex {
    match Regex::new(pattern) {
        Ok(built) => built,
        Err(error) => unreachable!("the patterns are constants: {error}"),
    }
}

/// A packet of OpenPGP with a secret key or subkey, of a known version and algorithm.
fn is_openpgp(content: &[u8]) -> bool {
    const SECRET: [u8; 2] = [5, 7];
    let Some((first, rest)) = content.split_first() else {
        return false;
    };
    let (tag, length_bytes) = match first {
        0xc0.. => {
            let length_bytes = match rest.first() {
                Some(0xff) => 5,
                Some(192..) => 2,
                _ => 1,
            };
            (first & 0x3f, length_bytes)
        }
        0x80..0xc0 if first & 3 < 3 => (first >> 2 & 0xf, 1 << (first & 3)),
        _ => return false,
    };
    let body = rest.get(length_bytes..).unwrap_or_default();
    SECRET.contains(&tag)
        && matches!(
            body,
            [3, _, _, _, _, _, _, 1..=3, ..] | [4..=6, _, _, _, _, 1..=28, ..]
        )
}

/// Keys in ASN.1.
mod der {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 2;
    const OCTETS: u8 = 4;
    const OBJECT: u8 = 6;
    /// The number of bytes that may follow: a line end.
    const BEHIND_MAX: usize = 2;
    const PKCS7: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07";
    const PKCS5: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x05";
    const PKCS12_PBE: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01";
    const ENCRYPTED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06";
    const BAGS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01";

    pub(super) fn is_key(content: &[u8]) -> bool {
        let Some((SEQUENCE, body, behind)) = element(content) else {
            return false;
        };
        if behind.len() > BEHIND_MAX {
            return false;
        }
        let Some((tag, first, rest)) = element(body) else {
            return false;
        };
        match (tag, first) {
            // EncryptedPrivateKeyInfo
            (SEQUENCE, algorithm) => {
                let of_password = element(algorithm).is_some_and(|(tag, name, _)| {
                    let known = [PKCS5, PKCS12_PBE]
                        .iter()
                        .any(|known| name.starts_with(known));
                    tag == OBJECT && known
                });
                of_password && is(OCTETS, rest)
            }
            // PrivateKeyInfo, or RSAPrivateKey and DSAPrivateKey, which are several numbers
            (INTEGER, [0 | 1]) => match element(rest) {
                Some((SEQUENCE, algorithm, rest)) => is(OBJECT, algorithm) && is(OCTETS, rest),
                Some((INTEGER, number, rest)) => number.len() > 16 && is(INTEGER, rest),
                // ECPrivateKey
                Some((OCTETS, secret, _)) => first == [1] && secret.len() >= 16,
                _ => false,
            },
            (INTEGER, [3]) => is_pkcs12(rest),
            _ => false,
        }
    }

    /// Whether a PKCS#12 file holds keys: a store that holds only certificates is recognizable.
    fn is_pkcs12(rest: &[u8]) -> bool {
        let Some((SEQUENCE, content, _)) = element(rest) else {
            return false;
        };
        let has = |part: &[u8]| rest.windows(part.len()).any(|window| window == part);
        let has_bag = |number: u8| has(&[BAGS, &[number]].concat());
        let is_it =
            element(content).is_some_and(|(tag, name, _)| tag == OBJECT && name.starts_with(PKCS7));
        let only_certificates =
            has_bag(3) && !has(ENCRYPTED_DATA) && ![1, 2, 5].into_iter().any(has_bag);
        is_it && !only_certificates
    }

    fn is(tag: u8, bytes: &[u8]) -> bool {
        element(bytes).is_some_and(|(found, _, _)| found == tag)
    }

    /// The tag and content of the first element, and the bytes after it. An element that is longer than the input is
    /// truncated.
    fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
        let (tag, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first()?;
        let (length, rest) = match length {
            0..0x80 => (usize::from(*length), rest),
            // Of unknown length
            0x80 => (rest.len(), rest),
            _ => {
                let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
                if digits.len() > 4 {
                    return None;
                }
                let add = |sum: usize, digit: &u8| sum << 8 | usize::from(*digit);
                (digits.iter().fold(0, add), rest)
            }
        };
        let (content, behind) = rest.split_at(length.min(rest.len()));
        Some((*tag, content, behind))
    }
}

/// Key stores of Java: JKS and JCEKS.
mod java {
    const MAGIC: [[u8; 4]; 2] = [[0xfe, 0xed, 0xfe, 0xed], [0xce; 4]];
    const CERTIFICATE: u32 = 2;

    /// Whether a key store holds more than certificates, or cannot be parsed.
    pub(super) fn is_key_store(content: &[u8]) -> bool {
        let is_it = MAGIC.iter().any(|magic| content.starts_with(magic));
        is_it && only_certificates(content).is_none()
    }

    fn only_certificates(content: &[u8]) -> Option<()> {
        let mut rest = &content[4..];
        let version = number(&mut rest)?;
        for _ in 0..number(&mut rest)? {
            if number(&mut rest)? != CERTIFICATE {
                return None;
            }
            text(&mut rest)?; // alias
            take(&mut rest, 8)?; // creation time
            if version == 2 {
                text(&mut rest)?; // kind of certificate
            }
            let length = number(&mut rest)?;
            take(&mut rest, length as usize)?;
        }
        Some(())
    }

    fn text(rest: &mut &[u8]) -> Option<()> {
        let length = take(rest, 2)?;
        let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
        take(rest, length).map(drop)
    }

    fn number(rest: &mut &[u8]) -> Option<u32> {
        Some(u32::from_be_bytes(take(rest, 4)?.try_into().ok()?))
    }

    fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
        let (taken, left) = rest.split_at_checked(count)?;
        *rest = left;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";

    fn pem(kind: &str) -> String {
        format!("-----BEGIN {kind}-----\n{BODY}\n{BODY}\n-----END {kind}-----\n")
    }

    #[test]
    fn keys_in_texts_are_known_by_their_form() {
        let kinds = [
            "PRIVATE KEY",
            "RSA PRIVATE KEY",
            "EC PRIVATE KEY",
            "DSA PRIVATE KEY",
            "OPENSSH PRIVATE KEY",
            "ENCRYPTED PRIVATE KEY",
            "ENCRYPTED SIGSTORE PRIVATE KEY",
            "TSS2 PRIVATE KEY",
        ];
        let mut keys: Vec<String> = kinds.map(pem).to_vec();
        let plain = pem("PRIVATE KEY");
        keys.extend([
            "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----\n".to_owned(),
            format!("\u{feff}{plain}"),
            plain.replace('\n', "\r\n"),
            format!("# my key\nkey: |\n{}", plain.replace('\n', "\n    ")),
            format!(r#"{{"pem": "{}"}}"#, plain.replace('\n', "\\n")),
            plain.replace('\n', " "),
            // A killed run had staged only the start of the file.
            plain[..60].to_owned(),
            format!("{}{plain}{}", "x".repeat(70_000), "y".repeat(70_000)),
            format!("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{BODY}\n"),
            format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\n{BODY}\n=abcd\n"),
            format!("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: \"x\"\n{BODY}\n"),
            "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\nAAAA\n".to_owned(),
            format!("# created\nAGE-SECRET-KEY-1{}\n", "Q".repeat(58)),
            format!("[Interface]\nPrivateKey = {}=\n", "a".repeat(43)),
            r#"{"type":"service_account","private_key": "0123456789abcdefghij"}"#.to_owned(),
            "untrusted comment: minisign encrypted secret key\nRWRTY0IyAAAAAAAAAAAAAAAAAAAAAAAA\n".to_owned(),
            "untrusted comment: x\nRWRCSwAAAACzJBN2gC5//jVvDiV76s4JUd7XYwsuAAAA\n".to_owned(),
            "(21:protected-private-key(3:rsa(1:n".to_owned(),
            "Key: (private-key (rsa (n #00#))".to_owned(),
            "client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQo=".to_owned(),
            "-----BEGIN OpenVPN Static key V1-----\n0123456789abcdef0123456789abcdef\n".to_owned(),
            "//registry.npmjs.org/:_authToken=npm_0123456789".to_owned(),
            format!("[default]\naws_secret_access_key = {}\n", "a".repeat(40)),
        ]);
        for key in &keys {
            assert!(holds_private_key(key.as_bytes()), "{key}");
            let utf16: Vec<u8> = key.encode_utf16().flat_map(u16::to_le_bytes).collect();
            assert!(
                holds_private_key(&[&b"\xff\xfe"[..], &utf16].concat()),
                "{key}"
            );
        }
    }

    #[test]
    fn text_that_only_mentions_keys_holds_none() {
        for other in [
            "",
            "-----BEGIN CERTIFICATE-----\nMIIabcdefgh\n-----END CERTIFICATE-----\n",
            "-----BEGIN PUBLIC KEY-----\nMIIabcdefgh\n-----END PUBLIC KEY-----\n",
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQENabcdefgh\n",
            "if line == \"-----BEGIN RSA PRIVATE KEY-----\" { found() }",
            "-----BEGIN OPENSSH PRIVATE KEY-----\n\0-----END OPENSSH PRIVATE KEY-----\n\0",
            "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
            "struct PrivateKey { private_key: Vec<u8> }",
            "[Peer]\nPublicKey = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=\n",
            "untrusted comment: minisign public key\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n",
            "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq",
            r#"{"private_key": ""}"#,
            "//registry.npmjs.org/:_authToken=${NPM_TOKEN}",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIabcdefgh me@host",
        ] {
            assert!(!holds_private_key(other.as_bytes()), "{other}");
        }
    }

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &length, &body].concat()
    }

    #[test]
    fn keys_in_binary_form_are_known_by_their_structure() {
        let number = |bytes: &[u8]| der(2, &[bytes]);
        let long = number(&[7; 128]);
        let rsa_name = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
        let secret = der(4, &[&[9; 32]]);
        let pkcs1 = der(0x30, &[&number(&[0]), &long, &number(&[1, 0, 1]), &long]);
        let pkcs8 = der(
            0x30,
            &[&number(&[0]), &der(0x30, &[rsa_name, b"\x05\0"]), &secret],
        );
        let sec1 = der(0x30, &[b"\x02\x01\x01", &secret]);
        let pbes2 = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d";
        let encrypted = der(0x30, &[&der(0x30, &[pbes2]), &secret]);
        let pkcs7 = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
        let store = |bags: &[u8]| {
            let content = der(0x30, &[pkcs7, &der(0xa0, &[&der(4, &[bags])])]);
            der(0x30, &[b"\x02\x01\x03", &content])
        };
        let bag = |n: u8| [&b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01"[..], &[n]].concat();
        let java = |magic: [u8; 4], tag: u8| {
            let entry = [
                0, 0, 0, tag, 0, 1, b'a', 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, b'X', 0, 0, 0, 1, 5,
            ];
            [&magic[..], &[0, 0, 0, 2, 0, 0, 0, 1], &entry].concat()
        };
        let (jks, jceks) = ([0xfe, 0xed, 0xfe, 0xed], [0xce; 4]);
        let pgp_old = [0x95, 3, 0x98, 4, 1, 2, 3, 4, 1, 0];
        let pgp_new = [0xc5, 0x58, 4, 1, 2, 3, 4, 22, 0];
        let keys: [&[u8]; 10] = [
            &pkcs1,
            &pkcs8,
            &[&pkcs8[..], b"\n"].concat(),
            &sec1,
            &encrypted,
            &store(&bag(2)),
            &java(jks, 1),
            &java(jceks, 3),
            &pgp_old,
            &pgp_new,
        ];
        for key in keys {
            assert!(holds_private_key(key), "{key:02x?}");
        }
        let public = der(
            0x30,
            &[&der(0x30, &[rsa_name, b"\x05\0"]), &der(3, &[&[0; 64]])],
        );
        let certificate = der(0x30, &[&der(0x30, &[b"\xa0\x03\x02\x01\x02", &long])]);
        let others: [&[u8]; 6] = [
            &public,
            &certificate,
            &store(&bag(3)),
            &java(jks, 2),
            &[0x99, 1, 0x0d, 4, 1, 2, 3, 4, 1, 0],
            &der(0x30, &[&number(&[0]), &number(&[5])]),
        ];
        for other in others {
            assert!(!holds_private_key(other), "{other:02x?}");
        }
    }
}
