use super::patterns::{is_name_of_secret, is_option_of_account, may_hold_secret};
use super::{HIDDEN, redacted_text};

/// A command line for display and storage, with anything that looks like a secret hidden.
#[must_use]
pub fn redacted(args: impl IntoIterator<Item = String>) -> String {
    let args: Vec<_> = args.into_iter().collect();
    let is_of_interest = |arg: &String| may_hold_secret(arg) || is_option_of_account(arg);
    if !args.iter().any(is_of_interest) {
        return args.join(" ");
    }
    let (mut follows, mut told) = (false, Vec::new());
    for (n, arg) in args.iter().enumerate() {
        // The script after `sh -c` is split into words; any other argument is one word.
        let is_script = n > 0 && args[n - 1].starts_with('-') && args[n - 1].ends_with('c');
        let option = n.checked_sub(1).map_or("", |before| &args[before]);
        told.push(if follows && !arg.starts_with('-') {
            follows = false;
            HIDDEN.to_owned()
        } else if is_option_of_account(option) {
            account(arg, &mut follows)
        } else if is_script {
            script(arg, &mut follows)
        } else {
            argument(arg, &mut follows)
        });
    }
    // Secrets that are recognized only together with another argument: `login -p x`
    redacted_text(&told.join(" ")).into_owned()
}

/// Hides the password after a user name, but neither numeric user and group ids nor paths on a host.
fn account(arg: &str, follows: &mut bool) -> String {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let are_ids = |user, group| is_number(user) && is_number(group);
    match arg.split_once(':') {
        Some((user, text))
            if !user.contains(['/', '-']) && !are_ids(user, text) && !text.starts_with('/') =>
        {
            format!("{user}:{HIDDEN}")
        }
        _ => argument(arg, follows),
    }
}

/// Hides a secret in one argument, after its name; records whether the next argument is one.
fn argument(arg: &str, follows: &mut bool) -> String {
    *follows = false;
    match arg.split_once('=') {
        Some((name, _)) if is_name_of_secret(name) && !name.contains(char::is_whitespace) => {
            format!("{name}={HIDDEN}")
        }
        None if arg.starts_with('-')
            && is_name_of_secret(arg)
            && !arg.contains(char::is_whitespace) =>
        {
            *follows = true;
            arg.to_owned()
        }
        _ => script(arg, follows),
    }
}

/// Hides secrets among words, including one on the line after its option.
fn script(text: &str, follows: &mut bool) -> String {
    let hide = |word: &str, follows: &mut bool| {
        let bare = word.trim_end();
        if bare.is_empty() {
            return word.to_owned();
        }
        let is_option = bare.starts_with('-');
        let names_one = is_option && !bare.contains('=') && is_name_of_secret(bare);
        let is_value = std::mem::replace(follows, names_one) && !is_option;
        let shown = if is_value { HIDDEN } else { bare };
        format!("{shown}{}", &word[bare.len()..])
    };
    let text = redacted_text(text);
    let words = text.split_inclusive(char::is_whitespace);
    words.map(|word| hide(word, follows)).collect()
}
