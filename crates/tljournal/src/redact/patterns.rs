use std::ops::Range;
use std::sync::OnceLock;

use regex::bytes::{CaptureLocations, Regex};

/// What the names of secrets contain.
const NAMES: [&str; 20] = [
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
];

/// The forms in which secrets occur. Each has one group, the secret, or several of which one matches; the last
/// has none: a private key begins there. None reaches beyond its line. `NAME` stands for one of these names, `USER`
/// for that of a user, which is no number.
const FORMS: [&str; 13] = [
    // name="x", "name": "x", name = 'x'
    r#"NAME[\w.-]*\\?["']?[ \t]*[:=][ \t]*\\?(?:"((?:[^"\\\r\n]|\\[^\r\n])+)|'([^'\r\n]+))"#,
    // name=x: up to a space, or to a quotation mark that ends what is around it.
    r#"NAME[\w.-]*=([^\s"'=>](?:[^\s"']|["'][^\s,;:)\]}>])*)"#,
    // name: x, name = x: where a line begins so, up to its end.
    r#"^[ \t-]*[\w.-]*NAME[\w.-]*[ \t]*[:=][ \t]+([^\s"'][^\r\n]*)"#,
    // --name x, "--name", "x"
    r#"(?:^|[\s"'(\[,=])--?[\w-]*NAME[\w-]*["']?,?[ \t]+(?:"((?:[^"\\\r\n]|\\[^\r\n])+)|'([^'\r\n]+)|([^\s"'<\[-](?:[^\s"']|["'][^\s,;:)\]}>])*))"#,
    // --pass x, --pwd=x, "--pw", "x"
    r#"(?:^|[\s"'(\[,=])--?(?:pass|pwd|pw)["']?(?:,?[ \t]+|=)(?:"((?:[^"\\\r\n]|\\[^\r\n])+)|'([^'\r\n]+)|([^\s"'<\[-][^\s"']*))"#,
    // -u user:x, --user "user:x"; but neither ids of users and groups nor paths on a host
    r#"(?:^|[\s"'(\[,])(?:-u|--user|--proxy-user)["']?(?:,?[ \t]+|=)?(?:"USER:((?:[^"\\/\r\n]|\\[^\r\n])+)|'USER:([^'/\r\n]+)|(?:USER:([^\s"'/][^\s"']*)|[0-9]+:([0-9]*[^\s"'/0-9][^\s"']*)))"#,
    // .. password: x, in the middle of a line: one word
    r#"(?:password|passwd|passphrase)["']?:[ \t]+([^\s"'\[][^\s"',;]*)"#,
    // scheme://user:password@host
    r#"://([^\s/"'<>]+)@"#,
    // Authorization: Bearer x
    r#"authorization["']?[ \t]*[:=][ \t]*["']?(?:(?:bearer|basic|digest|token|negotiate)[ \t]+)?([^\s"'][^\r\n"']*)"#,
    // X-Auth-Token: x, Set-Cookie: x
    r#"(?:^|[^\w-])(?:x-[\w-]*(?:token|key|secret|auth)[\w-]*|(?:set-)?cookie)["']?[ \t]*:[ \t]*["']?([^\s"'][^\r\n"']*)"#,
    // Bearer x, where it is no word
    r"\bbearer[ \t]+([\w.~+/=-]{16,})",
    // What AWS, GitHub, GitLab, Slack, npm, Google, providers of models, and issuers of JSON web tokens hand out
    r"\b((?-i:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[0-9A-Za-z]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[a-z]-[0-9A-Za-z-]{10,}|npm_[0-9A-Za-z]{30,}|AIza[\w-]{30,}|sk-[\w-]{20,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*))",
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----",
];

/// The name of a user that is no number.
const USER: &str = r#"[^\s"':/=-]*[^\s"':/=0-9-][^\s"':/=]*"#;

/// Where a private key ends.
const KEY_ENDS: &str = "-----END [A-Z0-9 ]*PRIVATE KEY";

/// What the forms contain that have no name, in lower case. In each line that it matches every form contains one
/// of these, or a name: to look for that first is several times as fast.
const HINTS: [&str; 27] = [
    "://",
    "-pass",
    "-pw",
    " -u",
    "'-u",
    "\"-u",
    "--user",
    "--proxy-user",
    "authorization",
    "cookie",
    "bearer",
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
    "xox",
    "eyj",
    "npm_",
    "aiza",
    "sk-",
    "private key",
];

/// Something that was found.
pub(super) struct Found {
    /// From where to where it is of interest.
    pub(super) whole: Range<usize>,
    /// What is to be hidden; nothing where a private key begins.
    pub(super) secret: Option<Range<usize>>,
}

/// Looks for secrets in one text.
pub(super) struct Search {
    forms: &'static Regex,
    groups: CaptureLocations,
    hints: &'static Regex,
}

impl Search {
    pub(super) fn new() -> Self {
        static FORM: OnceLock<Regex> = OnceLock::new();
        let forms = FORM.get_or_init(|| {
            let names = format!("(?:{})", NAMES.join("|"));
            compiled(
                &FORMS
                    .join("|")
                    .replace("NAME", &names)
                    .replace("USER", USER),
            )
        });
        Self {
            forms,
            groups: forms.capture_locations(),
            hints: hints(),
        }
    }

    /// The first one at or after a place.
    pub(super) fn next(&mut self, text: &[u8], mut from: usize) -> Option<Found> {
        loop {
            // A form may begin before its hint, and no line has one without.
            let hint = self.hints.find_at(text, from)?;
            let line = line_around(text, hint.range());
            let begin = from.max(line.start);
            let whole = self
                .forms
                .captures_read_at(&mut self.groups, &text[..line.end], begin);
            if let Some(whole) = whole {
                let secret = (1..self.groups.len()).find_map(|group| self.groups.get(group));
                return Some(Found {
                    whole: whole.range(),
                    secret: secret.map(|(from, to)| from..to),
                });
            }
            from = line.end;
        }
    }
}

/// The line that something is in.
fn line_around(text: &[u8], what: Range<usize>) -> Range<usize> {
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let begin = text[..what.start].iter().rposition(is_end);
    let end = text[what.end..].iter().position(is_end);
    let end = end.map_or(text.len(), |end| what.end + end);
    begin.map_or(0, |begin| begin + 1)..end
}

fn hints() -> &'static Regex {
    static HINT: OnceLock<Regex> = OnceLock::new();
    HINT.get_or_init(|| compiled(&[&NAMES[..], &HINTS].concat().join("|")))
}

/// Where a private key ends that has begun before.
pub(super) fn key_end(text: &[u8]) -> Option<usize> {
    static END: OnceLock<Regex> = OnceLock::new();
    Some(END.get_or_init(|| compiled(KEY_ENDS)).find(text)?.start())
}

/// Whether a text is worth a search. Of a short one that is told sooner than the search is made ready.
pub(super) fn may_hold_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let mut hints = NAMES.iter().chain(&HINTS);
    hints.any(|hint| text.contains(hint))
}

/// Whether what has this name is a secret.
pub(super) fn is_name_of_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let option = name.strip_prefix('-').unwrap_or_default();
    NAMES.iter().any(|part| name.contains(part))
        || ["pass", "pwd", "pw"].contains(&option.trim_start_matches('-'))
}

/// Whether what follows this option is a user, and perhaps a password.
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
