//! Examples of secrets for the tests of this module.

/// Texts, and how they are stored.
pub(super) const TOLD: [(&str, &str); 91] = [
    ("--password=x", "--password=[redacted]"),
    ("--token abc --verbose", "--token [redacted] --verbose"),
    ("--token --verbose x", "--token --verbose x"),
    (r#"["--api-key", "x y"]"#, r#"["--api-key", "[redacted]"]"#),
    ("GITHUB_TOKEN=abc make", "GITHUB_TOKEN=[redacted] make"),
    (
        r#"export DB_PASSWORD="my own" x"#,
        r#"export DB_PASSWORD="[redacted]" x"#,
    ),
    (
        r#"{"password": "a\"b", "user": "me"}"#,
        r#"{"password": "[redacted]", "user": "me"}"#,
    ),
    (
        r#"{"href":"https://h/?token=abc","x":1}"#,
        r#"{"href":"https://h/?token=[redacted]","x":1}"#,
    ),
    (r#"TOKEN=ab"cd end"#, "TOKEN=[redacted] end"),
    ("  client-secret: a b", "  client-secret: [redacted]"),
    ("https://me:pw@host/x", "https://[redacted]@host/x"),
    ("https://host/a@b c@d", "https://host/a@b c@d"),
    (
        "x=https://u:p@h,https://v:q@i/c@d e@f",
        "x=https://[redacted]@h,https://[redacted]@i/c@d e@f",
    ),
    (
        "> Authorization: Bearer abc",
        "> Authorization: Bearer [redacted]",
    ),
    (
        "-H 'authorization: Basic dTpw' x",
        "-H 'authorization: Basic [redacted]' x",
    ),
    ("X-Auth-Token: a b", "X-Auth-Token: [redacted]"),
    ("Set-Cookie: id=1; Path=/", "Set-Cookie: [redacted]"),
    (
        "a bearer of 0123456789abcdef0",
        "a bearer of 0123456789abcdef0",
    ),
    ("Bearer 0123456789abcdef0.", "Bearer [redacted]"),
    ("key AKIAIOSFODNN7EXAMPLE.", "key [redacted]."),
    ("ghp_0123456789abcdefghijklmnopqrstuvwxyz", "[redacted]"),
    ("glpat-0123456789abcdefghij", "[redacted]"),
    ("npm_0123456789abcdefghijABCDEFGHIJ01", "[redacted]"),
    ("a sk-ant-0123456789abcdefghij b", "a [redacted] b"),
    ("MYSQL_PWD=hunter2 x", "MYSQL_PWD=[redacted] x"),
    ("PWD=/home/me", "PWD=/home/me"),
    (
        "disk-0123456789abcdefghijklm",
        "disk-0123456789abcdefghijklm",
    ),
    ("xoxb-0123456789-abc", "[redacted]"),
    ("(eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeK)", "([redacted])"),
    // Messages of compilers and ordinary text.
    (
        "error: expected one of `!` or `::`, found token `;`",
        "error: expected one of `!` or `::`, found token `;`",
    ),
    (
        "12 |     let token = lexer.next();",
        "12 |     let token = lexer.next();",
    ),
    (
        "error: unexpected token: `}`",
        "error: unexpected token: `}`",
    ),
    (
        "token == other && secret != 1",
        "token == other && secret != 1",
    ),
    ("ünï TOKEN=ä ö", "ünï TOKEN=[redacted] ö"),
    ("plain=1 a:b", "plain=1 a:b"),
    ("+ curl --pass hunter2 x", "+ curl --pass [redacted] x"),
    ("--pwd=x y", "--pwd=[redacted] y"),
    ("+ curl -u me:hunter2 h", "+ curl -u me:[redacted] h"),
    ("curl -ume:hunter2 h", "curl -ume:[redacted] h"),
    ("curl -u me:123,456 h", "curl -u me:[redacted] h"),
    ("curl -u 'me:my own' h", "curl -u 'me:[redacted]' h"),
    (r#"curl -u "me:my own" h"#, r#"curl -u "me:[redacted]" h"#),
    (r#"["-u", "me:my own"]"#, r#"["-u", "me:[redacted]"]"#),
    (r#"x --pass "my own" y"#, r#"x --pass "[redacted]" y"#),
    (
        "--target x86_64-unknown-linux:gnu",
        "--target x86_64-unknown-linux:gnu",
    ),
    ("--user=me:1x h", "--user=me:[redacted] h"),
    ("docker run -u 1000:1000 x", "docker run -u 1000:1000 x"),
    ("rsync -u host:/a b", "rsync -u host:/a b"),
    ("systemctl --user start a:b", "systemctl --user start a:b"),
    ("multi-pass: fine", "multi-pass: fine"),
    (
        "login of bob, password: hunter2, failed",
        "login of bob, password: [redacted], failed",
    ),
    ("enter a password: ", "enter a password: "),
    // Output of various tools.
    (
        "aws_secret_access_key = a0BcDeFgHiJkLmNoPqRsTuVwXyZ0123456789abc",
        "aws_secret_access_key = [redacted]",
    ),
    (
        "x secret_access_key = a0BcDeFgHiJkLmNoPqRs y",
        "x secret_access_key = [redacted] y",
    ),
    ("_auth=dXNlcjpwYXNz", "_auth=[redacted]"),
    (
        "+ docker login -u bob -p hunter2 host",
        "+ docker login -u bob -p [redacted] host",
    ),
    (
        r#"{"auths": {"r": {"auth": "dXNlcjpwYXNz"}}}"#,
        r#"{"auths": {"r": {"auth": "[redacted]"}}}"#,
    ),
    (
        "  x client-key-data: LS0tabcdefghijk0123456789",
        "  x client-key-data: [redacted]",
    ),
    (
        "machine h login bob password hunter2",
        "machine h login bob password [redacted]",
    ),
    ("db:5432:main:bob:hunter2", "db:5432:main:bob:[redacted]"),
    ("key sk_live_0123456789abcdefgh.", "key [redacted]."),
    (
        "https://hooks.slack.com/services/T000/B000/abcdefgh",
        "https://hooks.slack.com/services/[redacted]",
    ),
    ("hf_0123456789abcdefghijabcdefghij", "[redacted]"),
    ("pypi-AgEIcHlwaS5vcmcabcdef", "[redacted]"),
    ("dckr_pat_0123456789abcdefghij", "[redacted]"),
    ("hvs.0123456789abcdefghij", "[redacted]"),
    (
        "AccountKey=abc;EndpointSuffix=core",
        "AccountKey=[redacted]",
    ),
    (
        "GET /x?sv=1&sig=a%2Fb&se=2",
        "GET /x?sv=1&sig=[redacted]&se=2",
    ),
    ("SG.0123456789abcdef.0123456789abcdef", "[redacted]"),
    (r#"{"password":12345x}"#, r#"{"password":[redacted]}"#),
    ("{'password': 'a b'}", "{'password': '[redacted]'}"),
    (
        r"{'\''password'\'': '\''abc'\''}",
        r"{'\''password'\'': '\''[redacted]'\''}",
    ),
    (
        "a <password>my own</password> b",
        "a <password>[redacted]</password> b",
    ),
    ("+ mysql -phunter2 db", "+ mysql -p[redacted] db"),
    (
        "+ sshpass -p hunter2 ssh h",
        "+ sshpass -p [redacted] ssh h",
    ),
    ("SSHPASS=hunter2 ssh", "SSHPASS=[redacted] ssh"),
    (
        "RAILS_MASTER_KEY=0123456789abcdef01234567",
        "RAILS_MASTER_KEY=[redacted]",
    ),
    (
        "SIGNING_KEY=certs/signing_key.pem",
        "SIGNING_KEY=certs/signing_key.pem",
    ),
    (
        r#""sessionid": "a0123456789abcdefgh""#,
        r#""sessionid": "[redacted]""#,
    ),
    (
        r#"{"kty":"EC","d":"0123456789abcdefghij"}"#,
        r#"{"kty":"EC","d":"[redacted]"}"#,
    ),
    (
        "\u{1b}[33mpass\u{1b}[0mword=hunter2",
        "\u{1b}[33mpass\u{1b}[0mword=[redacted]",
    ),
    (
        "password\u{1b}[0m: \u{1b}[1mhunter2",
        "password\u{1b}[0m: \u{1b}[1m[redacted]",
    ),
    ("The password is hunter2", "The password is [redacted]"),
    (
        "Enter passphrase for /k: hunter2",
        "Enter passphrase for /k: [redacted]",
    ),
    ("x -passin pass:hunter2 y", "x -passin pass:[redacted] y"),
    ("k LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0t", "k [redacted]"),
    ("AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQ", "[redacted]"),
    ("glrt-0123456789abcdefghij", "[redacted]"),
    ("https://u:pa/ss@host/x", "https://[redacted]@host/x"),
    ("https://host:8080/a@b", "https://host:8080/a@b"),
    (
        "redis-cli -h h -a hunter2 ping",
        "redis-cli -h h -a [redacted] ping",
    ),
];
