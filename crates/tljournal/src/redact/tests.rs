use proptest::prelude::*;

use super::forms::TOLD;
use super::*;

fn streamed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut redactor, mut out) = (Redactor::default(), Vec::new());
    for piece in pieces {
        redactor.push(piece, &mut out);
    }
    redactor.finish(&mut out);
    out
}

#[test]
fn every_form_of_a_secret_is_hidden_and_nothing_else() {
    for (text, told) in TOLD {
        assert_eq!(redacted_text(text), told);
        // Redaction is idempotent.
        assert_eq!(redacted_text(told), told);
    }
}

#[test]
fn a_private_key_is_hidden_in_any_context() {
    let key = "-----BEGIN RSA PRIVATE KEY-----\r\nMIIE\r\nabc=\r\n-----END RSA PRIVATE KEY-----";
    let told = "-----BEGIN RSA PRIVATE KEY-----[redacted]-----END RSA PRIVATE KEY-----";
    assert_eq!(
        redacted_text(&format!("a\n{key} b\nc")),
        format!("a\n{told} b\nc")
    );
    let escaped =
        r#"{"k": "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n", "n": 1}"#;
    let told =
        r#"{"k": "-----BEGIN PRIVATE KEY-----[redacted]-----END PRIVATE KEY-----\n", "n": 1}"#;
    assert_eq!(redacted_text(escaped), told);
    // Text that never ends is not a key: after a limit the output is shown again.
    let endless = format!(
        "-----BEGIN PRIVATE KEY-----\n{}end\n",
        "abc\n".repeat(20_000)
    );
    let told = redacted_text(&endless);
    assert!(told.ends_with("\nabc\nend\n") && told.len() < endless.len() / 2);
    let public = "-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----\n";
    assert_eq!(redacted_text(public), public);
}

/// Secrets on lines after the line with their name.
#[test]
fn the_lines_of_a_named_block_are_hidden() {
    for (text, told) in [
        (
            "passwords:\n  - hunter2\n  - b\nother:\n  - c\n",
            "passwords:\n  - [redacted]\n  - [redacted]\nother:\n  - c\n",
        ),
        (
            "a:\n  password: |\n    my own\n\n    b\n  user: x\n",
            "a:\n  password: |\n    [redacted]\n\n    [redacted]\n  user: x\n",
        ),
        (
            "token: >-\r\n  a\r\nb\r\n",
            "token: >-\r\n  [redacted]\r\nb\r\n",
        ),
        (
            "imagePullSecrets:\n  - name: regcred\n",
            "imagePullSecrets:\n  - name: regcred\n",
        ),
        (
            "Private-Lines: 2\nAAAAB3NzaC1yc2EAAAADAQAB\nAAAAB3NzaC1yc2EAAAADAQAB\nPrivate-MAC: x\n",
            "Private-Lines: 2\n[redacted]\n[redacted]\nPrivate-MAC: x\n",
        ),
        (
            "error: unexpected token:\n  - x\n",
            "error: unexpected token:\n  - x\n",
        ),
        ("secrets:\n  - a", "secrets:\n  - [redacted]"),
    ] {
        assert_eq!(redacted_text(text), told);
        assert_eq!(redacted_text(told), told);
        for at in 0..=text.len() {
            let (mut redactor, mut out) = (Redactor::default(), Vec::new());
            redactor.push(&text.as_bytes()[..at], &mut out);
            redactor.pause(&mut out);
            redactor.push(&text.as_bytes()[at..], &mut out);
            redactor.finish(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), told, "cut at {at}");
        }
    }
}

#[test]
fn a_secret_in_utf_16_is_hidden() {
    let text: Vec<u8> = "password=hunter2\nx\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let told = streamed([&text[..]]);
    let told: Vec<u8> = told.into_iter().filter(|byte| *byte != 0).collect();
    assert_eq!(String::from_utf8_lossy(&told), "password=[redacted]\nx\n");
}

/// The output of compilers, package managers and test runners is not changed.
#[test]
fn ordinary_output_stays_as_it_is() {
    let output = include_str!("ordinary.txt");
    assert_eq!(redacted_text(output), output);
}

#[test]
fn secrets_in_arguments_are_hidden_after_their_options_too() {
    let told = |args: &[&str]| redacted(args.iter().map(|arg| (*arg).to_owned()));
    assert_eq!(
        told(&["--password", "hunter2", "--verbose", "x"]),
        "--password [redacted] --verbose x"
    );
    assert_eq!(
        told(&["--password", "my own secret", "x"]),
        "--password [redacted] x"
    );
    assert_eq!(told(&["--token", "--verbose", "x"]), "--token --verbose x");
    assert_eq!(
        told(&["env", "PASSWORD=my own", "x"]),
        "env PASSWORD=[redacted] x"
    );
    for (account, shown) in [
        ("me:my own", "me:[redacted]"),
        ("1000:1000", "1000:1000"),
        ("host:/a", "host:/a"),
        ("https://u:p@h", "https://[redacted]@h"),
        ("me:12", "me:[redacted]"),
    ] {
        let args = ["curl", "-u", account, "x"];
        assert_eq!(told(&args), format!("curl -u {shown} x"));
    }
    assert_eq!(told(&["x", "--pass", "my own"]), "x --pass [redacted]");
    assert_eq!(
        told(&["docker", "login", "-u", "bob", "-p", "hunter2"]),
        "docker login -u bob -p [redacted]"
    );
    assert_eq!(told(&["mkdir", "-p", "login"]), "mkdir -p login");
    assert_eq!(
        told(&["x", "-u", "--password", "hunter2"]),
        "x -u --password [redacted]"
    );
    assert_eq!(
        told(&["curl", "-H", "Authorization: Bearer x"]),
        "curl -H Authorization: Bearer [redacted]"
    );
}

/// A script is one argument: only the argument as a whole, and only its first URL, was examined, so its secrets were
/// shown and stored.
#[test]
fn secrets_in_the_words_of_a_script_are_hidden() {
    for (script, hidden) in [
        (
            "true --password hunter2; true",
            "true --password [redacted] true",
        ),
        (
            "a\n\tTOKEN=x b -- --token\n x",
            "a\n\tTOKEN=[redacted] b -- --token\n [redacted]",
        ),
        (
            "curl https://a/b  https://u:p@h/",
            "curl https://a/b  https://[redacted]@h/",
        ),
        (" plain ", " plain "),
    ] {
        let told = redacted(["sh", "-c", script].map(str::to_owned));
        assert_eq!(told, format!("sh -c {hidden}"));
    }
}

#[test]
fn a_secret_in_a_very_long_line_is_hidden_at_any_position() {
    for before in [0, 57_000, 57_340, 65_500, 65_530, 130_000] {
        let text = format!(
            "{} --token hunter2hunter2 {}",
            "a ".repeat(before / 2),
            "b".repeat(70_000)
        );
        let told = streamed([text.as_bytes()]);
        let told = String::from_utf8(told).unwrap();
        assert_eq!(told, text.replace("hunter2hunter2", HIDDEN), "{before}");
    }
    let long = format!("TOKEN={} end", "x".repeat(200_000));
    assert_eq!(streamed([long.as_bytes()]), b"TOKEN=[redacted] end");
}

/// The start of a line is stored after a pause in the input; a secret may follow.
#[test]
fn output_in_a_pause_omits_what_may_become_a_secret() {
    for (text, told) in TOLD {
        for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            let (mut redactor, mut out) = (Redactor::default(), Vec::new());
            redactor.push(&text.as_bytes()[..at], &mut out);
            redactor.pause(&mut out);
            assert!(
                told.as_bytes().starts_with(&out),
                "{text}: {:?}",
                String::from_utf8_lossy(&out)
            );
            redactor.push(&text.as_bytes()[at..], &mut out);
            redactor.finish(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), told, "cut at {at}");
        }
    }
    let (mut redactor, mut out) = (Redactor::default(), Vec::new());
    redactor.push(b"Continue? [y/N] ", &mut out);
    assert!(out.is_empty() && redactor.is_behind());
    redactor.pause(&mut out);
    assert_eq!(
        (out.as_slice(), redactor.is_behind()),
        (&b"Continue? [y/N] "[..], false)
    );
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    let told = proptest::sample::select(TOLD.map(|(text, _)| text.as_bytes().to_vec()).to_vec());
    let key = Just(
        b"-----BEGIN EC PRIVATE KEY-----\nabc\r\ndef\n-----END EC PRIVATE KEY-----\n".to_vec(),
    );
    let word = proptest::sample::select(vec![
        &b"\n"[..],
        b"\r",
        b"\r\n",
        b" ",
        b"x",
        b"\0\xff",
        b"--token",
        b"=",
        b": ",
    ]);
    let part = prop_oneof![
        3 => told,
        1 => key,
        5 => word.prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => (60_000usize..70_000).prop_map(|len| vec![b'y'; len]),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn how_output_is_cut_into_pieces_makes_no_difference(
        text in anything(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
    ) {
        let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        at.extend([0, text.len()]);
        at.sort_unstable();
        let pieces = at.windows(2).map(|cut| &text[cut[0]..cut[1]]);
        prop_assert_eq!(streamed(pieces), streamed([&text[..]]));
        // One byte at a time is the hardest case.
        if text.len() < 2_000 {
            prop_assert_eq!(streamed(text.chunks(1)), streamed([&text[..]]));
        }
    }

    #[test]
    fn nothing_but_secrets_is_changed(text in proptest::collection::vec(any::<u8>(), 0..4_000)) {
        // Every form of a secret needs one of these characters.
        let text: Vec<u8> = text.into_iter().filter(|byte| !b":=-.@_".contains(byte)).collect();
        let words = String::from_utf8_lossy(&text).to_lowercase();
        prop_assume!(!["akia", "asia", "bearer"].iter().any(|word| words.contains(word)));
        prop_assert_eq!(streamed(text.chunks(7)), text);
    }

    #[test]
    fn lines_without_a_secret_stay_as_they_are_beside_one(
        before in "[a-z ]{0,40}", after in "[a-z ]{0,40}", secret in "[a-zA-Z0-9!@#$%^&*]{1,40}",
    ) {
        let text = format!("{before}\nAPI_TOKEN={secret}\r\n{after}");
        let told = format!("{before}\nAPI_TOKEN=[redacted]\r\n{after}");
        prop_assert_eq!(String::from_utf8(streamed([text.as_bytes()])).unwrap(), told);
    }
}

#[test]
fn the_stored_length_of_a_label_is_limited() {
    let told = label(&"ä".repeat(5000));
    assert_eq!(told.chars().count(), 1001);
    assert!(told.ends_with('…'));
    assert_eq!(label("short"), "short");
}
