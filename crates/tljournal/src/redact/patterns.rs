use std::ops::Range;
use std::sync::OnceLock;

use regex::bytes::{CaptureLocations, Regex};

use super::block::Block;
use super::plain::{self, Plain};

/// Substrings of the names of secrets.
const NAMES: [&str; 23] = [
    "password",
    "passwd",
    "passphrase",
    "token",
    "secret",
    "credential",
    "apikey",
    "api-key",
    "api_key",
    "accesskey",
    "access-key",
    "access_key",
    "privatekey",
    "private-key",
    "private_key",
    "auth-key",
    "auth_key",
    "_pass",
    "_pwd",
    "amz-signature",
    "sshpass",
    "accountkey",
    "key-data",
];

/// Substrings of names that may hold a secret, if the value looks like one: a path to a key does not.
const NAMES_OF_KEYS: [&str; 14] = [
    "signing_key",
    "signing-key",
    "encryption_key",
    "encryption-key",
    "decryption_key",
    "master_key",
    "master-key",
    "deploy_key",
    "hmac_key",
    "session_key",
    "sessionid",
    "session_id",
    "session-id",
    "secret_key_base",
];

/// The forms of secrets. Each has one group for the secret, or several of which one matches; the first two and the
/// last have none, because the secret is on the following lines. `NAME` stands for one of the first list of names,
/// `ITSKEY` for one of the second, `USER` for a user name, which is not a number, and `LONG` for a word that looks
/// random.
const FORMS: [&str; 35] = [
    // The name of a list or a text that follows on lines of its own (YAML). It comes before the form that would match
    // `|` as the secret.
    r#"^[^\w\r\n]*[\w.-]*NAME[\w.-]*["']?[ \t]*:[ \t]*(?:[|>][+-]?[0-9]?)?[ \t]*$"#,
    // Followed by lines of a private key (PuTTY)
    r"^[^\w\r\n]*private-lines:[ \t]*[0-9]+[ \t]*$",
    // name="x", "name": "x", name = 'x'
    r#"NAME[\w.-]*\\?["']?[ \t]*[:=][ \t]*\\?(?:"((?:[^"\\\r\n]|\\[^\r\n])+)|'([^'\r\n]+))"#,
    // The same with another level of shell quoting
    r#"NAME[\w.-]*[\\"']{2,}[ \t]*[:=][ \t]*[\\"']+([^\\"'\s]+)"#,
    // name=x: up to a blank, or to a quotation mark that ends the surrounding text.
    r#"NAME[\w.-]*=([^\s"'=>](?:[^\s"']|["'][^\s,;:)\]}>])*)"#,
    // name: x, name = x: at the start of a line, up to its end.
    r#"^[ \t-]*[\w.-]*NAME[\w.-]*[ \t]*[:=][ \t]+([^\s"'][^\r\n]*)"#,
    // name: x, name = x, in the middle of a line: one word that looks like a secret
    r#"NAME[\w.-]*[\\"']*[ \t]*[:=][ \t]+(LONG)"#,
    r#"ITSKEY[\w.-]*[\\"']*[ \t]*[:=][ \t]*[\\"']*(LONG)"#,
    // --name x, "--name", "x"
    r#"(?:^|[\s"'(\[,=])--?[\w-]*NAME[\w-]*["']?,?[ \t]+(?:"((?:[^"\\\r\n]|\\[^\r\n])+)|'([^'\r\n]+)|([^\s"'<\[-](?:[^\s"']|["'][^\s,;:)\]}>])*))"#,
    // --pass x, --pwd=x, "--pw", "x", -storepass x
    r#"(?:^|[\s"'(\[,=])--?(?:(?:dest|src)?(?:store|key)?pass|pwd|pw)["']?(?:,?[ \t]+|=)(?:"((?:[^"\\\r\n]|\\[^\r\n])+)|'([^'\r\n]+)|([^\s"'<\[-][^\s"']*))"#,
    // -passin pass:x
    r#"-pass(?:in|out)?[ \t]+pass:([^\s"']+)"#,
    // -u user:x, --user "user:x"; but neither ids of users and groups nor paths on a host
    r#"(?:^|[\s"'(\[,])(?:-u|--user|--proxy-user)["']?(?:,?[ \t]+|=)?(?:"USER:((?:[^"\\/\r\n]|\\[^\r\n])+)|'USER:([^'/\r\n]+)|(?:USER:([^\s"'/][^\s"']*)|[0-9]+:([0-9]*[^\s"'/0-9][^\s"']*)))"#,
    // docker login -p x
    r#"\blogin\b[^\r\n;|&]*?[ \t](?-i:-p)[ \t]+([^\s"'-][^\s"']*)"#,
    // mysql -px, sshpass -p x, redis-cli -a x, ldapsearch -w x
    r#"\b(?:mysql|mariadb)[\w-]*[ \t](?:[^\r\n;|&]*?[ \t])?(?-i:-p)([^\s"']+)"#,
    r#"\bsshpass[ \t](?:[^\r\n;|&]*?[ \t])?-p[ \t]*([^\s"']+)"#,
    r#"\b(?:redis-cli[ \t](?:[^\r\n;|&]*?[ \t])?-a|ldap[a-z]+[ \t](?:[^\r\n;|&]*?[ \t])?(?-i:-w))[ \t]+([^\s"'-][^\s"']*)"#,
    // .. password: x, in the middle of a line: one word
    r#"(?:password|passwd|passphrase)["']?:[ \t]+([^\s"'\[|>][^\s"',;]*)"#,
    // "password":12345x
    r#"(?:password|passwd|passphrase)\\?["']:[ \t]*([0-9][^\s"',}\]]*)"#,
    // password is x, passphrase for it: x
    r#"\b(?:password|passwd|passphrase)[ \t]+(?:is|was|set to)[ \t]+["'`]?([^\s"'`]*[0-9][^\s"'`]*)"#,
    r#"\b(?:password|passwd|passphrase)[ \t]+for[ \t]+[^:\r\n]{1,80}:[ \t]+([^\s"']+)"#,
    // machine x login y password z (.netrc)
    r"\blogin[ \t]+\S+[ \t]+password[ \t]+(\S+)",
    r"^[ \t]*password[ \t]+(\S*[0-9]\S*)[ \t]*$",
    // host:5432:database:user:x (.pgpass)
    r#"(?:^|[\s"'])[\w.*-]+:(?:[56]43[0-9]|\*):[\w.*-]+:[\w.*-]+:([^\s:"']{4,})(?:$|[\s"'])"#,
    // <password>x</password>
    r"<[\w:.-]*NAME[\w:.-]*(?:[ \t][^<>\r\n]*)?>[ \t]*([^<\s][^<\r\n]*)<",
    // _auth=x (npm), "auth": "x" (docker)
    r#"(?:^|[\s:"'])_auth[ \t]*=[ \t]*([^\s"']+)"#,
    r#"["']auth\\?["'][ \t]*:[ \t]*\\?["']([\w+/=-]{8,})"#,
    // "d": "x" (JSON web keys)
    r#"["'](?-i:d|p|q|dp|dq|qi|k)\\?["'][ \t]*:[ \t]*\\?["']([\w-]{20,})"#,
    // &sig=x (Azure)
    r#"[?&]sig=([^&\s"']+)"#,
    // scheme://user:password@host, scheme://token@host
    r#"://([^\s/"'<>]+)@"#,
    r#"://([^\s/:@"'<>]*:[0-9]*[^\s0-9/@"'<>][^\s@"'<>]*)@"#,
    // Authorization: Bearer x
    r#"authorization["']?[ \t]*[:=][ \t]*["']?(?:(?:bearer|basic|digest|token|negotiate)[ \t]+)?([^\s"'][^\r\n"']*)"#,
    // X-Auth-Token: x, Set-Cookie: x
    r#"(?:^|[^\w-])(?:x-[\w-]*(?:token|key|secret|auth)[\w-]*|(?:set-)?cookie)["']?[ \t]*:[ \t]*["']?([^\s"'][^\r\n"']*)"#,
    // Bearer x, unless x is an ordinary word; and URLs of webhooks
    r"\b(?:bearer[ \t]+|hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/)([\w.~+/=-]{16,})",
    ISSUED,
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----",
];

/// Credentials issued by services: cloud providers, forges, registries, chats, payment, model providers, and issuers
/// of JSON web tokens; age keys; a private key in base64.
const ISSUED: &str = r"\b((?-i:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[0-9A-Za-z]{20,}|github_pat_\w{20,}|gl(?:pat|rt|dt|cbt|ptt|ft|soat|agent|imt|oas)-[\w-]{16,}|x(?:ox[a-z]|app)-[0-9A-Za-z-]{10,}|npm_[0-9A-Za-z]{30,}|pypi-[\w-]{20,}|rubygems_[0-9a-f]{40,}|oy2[0-9a-z]{43}|cio[0-9A-Za-z]{32}\b|dckr_[op]at_[\w-]{20,}|AKCp[0-9A-Za-z]{50,}|AIza[\w-]{30,}|ya29\.[\w-]{20,}|sk-[\w-]{20,}|hf_[0-9A-Za-z]{30,}|[srp]k_(?:live|test)_[0-9A-Za-z]{16,}|whsec_[0-9A-Za-z+/]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}|hv[sbr]\.[\w-]{20,}|[0-9A-Za-z]{14}\.atlasv1\.[\w-]{40,}|ATATT3[\w=-]{20,}|do[opr]_v1_[0-9a-f]{40,}|dapi[0-9a-f]{32}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{20,}|gl(?:sa|c)_[\w+/=-]{20,}|sntry[su]_[\w+/=.-]{20,}|tskey-[\w-]{16,}|PMAK-[\w-]{20,}|NRAK-[0-9A-Z]{20,}|lin_api_\w{30,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Za-z]{20,}|LS0tLS1CRUdJTi[0-9A-Za-z+/=]{20,}))";

/// A user name that is not a number.
const USER: &str = r#"[^\s"':/=-]*[^\s"':/=0-9-][^\s"':/=]*"#;

/// A random-looking word: long, with a digit early in it, and not a path.
const LONG: &str = r"[A-Za-z0-9+_=-](?:[A-Za-z/+_=-]{0,14})[0-9][\w/+=-]{14,}";

/// The end of a private key.
const KEY_ENDS: &str = "-----END [A-Z0-9 ]*PRIVATE KEY";

/// Substrings of the forms that have no name, in lower case. Every line that matches a form contains one of these or
/// a name: searching for them first is several times as fast.
const HINTS: [&str; 95] = [
    "://",
    "-pass",
    "-pw",
    "storepass",
    "keypass",
    " -u",
    "'-u",
    "\"-u",
    "--user",
    "--proxy-user",
    "login",
    "mysql",
    "mariadb",
    "redis-cli",
    "ldap",
    ":543",
    ":643",
    ":*:",
    "_auth",
    "\"auth",
    "'auth",
    "\"d\"",
    "\"p\"",
    "\"q\"",
    "\"dp\"",
    "\"dq\"",
    "\"qi\"",
    "\"k\"",
    "\"d\\",
    "\"k\\",
    "sig=",
    "authorization",
    "cookie",
    "bearer",
    "hooks.slack",
    "api/webhooks",
    "x-",
    "akia",
    "asia",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "glrt-",
    "gldt-",
    "glcbt-",
    "glptt-",
    "glft-",
    "glsoat-",
    "glagent-",
    "glimt-",
    "gloas-",
    "glsa_",
    "glc_",
    "xox",
    "xapp-",
    "eyj",
    "npm_",
    "pypi-",
    "rubygems_",
    "oy2",
    "cio",
    "dckr_",
    "akcp",
    "aiza",
    "ya29.",
    "sk-",
    "hf_",
    "k_live_",
    "k_test_",
    "whsec_",
    "sg.",
    "hvs.",
    "hvb.",
    "hvr.",
    ".atlasv1.",
    "atatt3",
    "_v1_",
    "dapi",
    "shpat_",
    "shpca_",
    "shppa_",
    "shpss_",
    "sntry",
    "tskey-",
    "-lines:",
    "nrak-",
    "pmak-",
    "age-secret-key",
    "lin_api_",
    "ls0tls1crudjti",
    "private key",
];

/// A match.
pub(super) struct Found {
    /// The range of the match.
    pub(super) whole: Range<usize>,
    pub(super) what: What,
}

/// The kind of a match.
pub(super) enum What {
    /// This range is a secret.
    Secret(Range<usize>),
    /// A private key begins.
    Key,
    /// The secret is on the following lines.
    Block(Block),
}

/// A search for secrets in one text.
pub(super) struct Search<'a> {
    text: Plain<'a>,
    forms: &'static Regex,
    groups: CaptureLocations,
    hints: &'static Regex,
}

impl<'a> Search<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        static FORM: OnceLock<Regex> = OnceLock::new();
        let forms = FORM.get_or_init(|| {
            let any_of = |names: &[&str]| format!("(?:{})", names.join("|"));
            let forms = FORMS.join("|").replace("NAME", &any_of(&NAMES));
            let forms = forms.replace("ITSKEY", &any_of(&NAMES_OF_KEYS));
            compiled(&forms.replace("USER", USER).replace("LONG", LONG))
        });
        Self {
            text: Plain::of(text),
            forms,
            groups: forms.capture_locations(),
            hints: hints(),
        }
    }

    /// The first match at or after a position.
    pub(super) fn next(&mut self, from: usize) -> Option<Found> {
        let text = &*self.text.bytes;
        let mut from = self.text.plain(from);
        loop {
            // A form may begin before its hint; no line contains a form without a hint.
            let hint = self.hints.find_at(text, from)?;
            let line = line_around(text, hint.range());
            let begin = from.max(line.start);
            let whole = self
                .forms
                .captures_read_at(&mut self.groups, &text[..line.end], begin);
            if let Some(whole) = whole {
                let secret = (1..self.groups.len()).find_map(|group| self.groups.get(group));
                let what = match secret {
                    Some((from, to)) => What::Secret(self.text.original(from..to)),
                    None => match Block::begun_by(whole.as_bytes()) {
                        Some(block) => What::Block(block),
                        None => What::Key,
                    },
                };
                let whole = self.text.original(whole.range());
                return Some(Found { whole, what });
            }
            from = line.end;
        }
    }
}

/// The line that contains a range.
fn line_around(text: &[u8], what: Range<usize>) -> Range<usize> {
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let begin = text[..what.start].iter().rposition(is_end);
    let end = text[what.end..].iter().position(is_end);
    let end = end.map_or(text.len(), |end| what.end + end);
    begin.map_or(0, |begin| begin + 1)..end
}

fn hints() -> &'static Regex {
    static HINT: OnceLock<Regex> = OnceLock::new();
    HINT.get_or_init(|| {
        let all = NAMES.iter().chain(&NAMES_OF_KEYS).chain(&HINTS);
        let literal: Vec<_> = all.map(|hint| regex::escape(hint)).collect();
        compiled(&literal.join("|"))
    })
}

/// The end of a private key that began earlier.
pub(super) fn key_end(text: &[u8]) -> Option<usize> {
    static END: OnceLock<Regex> = OnceLock::new();
    Some(END.get_or_init(|| compiled(KEY_ENDS)).find(text)?.start())
}

/// Whether a text may hold a secret. For a short text this is faster than preparing a search.
pub(super) fn may_hold_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let mut hints = NAMES.iter().chain(&NAMES_OF_KEYS).chain(&HINTS);
    text.contains(plain::NOISE) || hints.any(|hint| text.contains(hint))
}

/// Whether the value with this name is a secret.
pub(super) fn is_name_of_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let option = name.strip_prefix('-').unwrap_or_default();
    NAMES.iter().any(|part| name.contains(part))
        || ["pass", "pwd", "pw"].contains(&option.trim_start_matches('-'))
}

/// Whether the value of this option is a user, possibly with a password.
pub(super) fn is_option_of_account(option: &str) -> bool {
    ["-u", "-U", "--user", "--proxy-user"].contains(&option)
}

fn compiled(pattern: &str) -> Regex {
    let built = regex::bytes::RegexBuilder::new(pattern)
        .unicode(false)
        .case_insensitive(true)
        .multi_line(true)
        .crlf(true)
        .build();
    match built {
        Ok(built) => built,
        Err(error) => unreachable!("the patterns are constants: {error}"),
    }
}
