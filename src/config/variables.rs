//! `${VAR}` in texts: variables of the process, files with a secret, systemd credentials.
//!
//! Texts are substituted after parsing, so a value can never become a key or another type. Not
//! here: `REBATED_*` variables that set a key (`layers`). Invariant: a text that holds a secret
//! keeps a second form for people in which the secret is `***`.

use crate::config::shape::nearest;
use crate::config::source::Layer;
use crate::config::tree::{Node, Table, Text, Value};
use crate::core::problem::{Place, Problem, Problems};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is shown in place of a secret.
pub const MASK: &str = "***";

/// Keys whose texts are secrets wherever they stand.
const SECRET_KEYS: [&str; 6] = ["password", "client_secret", "token", "api_key", "secret", "passphrase"];

/// Where variables get their values.
#[derive(Clone)]
pub struct Variables {
    values: BTreeMap<String, String>,
    dir: PathBuf,
}

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variables").field("names", &self.values.keys().collect::<Vec<_>>()).field("dir", &self.dir).finish()
    }
}

impl Variables {
    /// The variables of this process, and those of the workspace's `.env` that it does not set.
    /// `${file:...}` starts at `dir`.
    pub fn of_process(dir: &Path) -> Self {
        let text = |s: std::ffi::OsString| s.into_string().ok();
        let own = std::env::vars_os().filter_map(|(k, v)| Some((text(k)?, text(v)?)));
        let mut values = env_file(&std::fs::read_to_string(dir.join(".env")).unwrap_or_default());
        values.extend(own);
        Self { values, dir: dir.to_owned() }
    }
    /// Given variables, for tests.
    pub fn given(values: impl IntoIterator<Item = (String, String)>, dir: &Path) -> Self {
        Self { values: values.into_iter().collect(), dir: dir.to_owned() }
    }
    /// Names and values that start with a prefix.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.values.iter().filter_map(move |(k, v)| k.starts_with(prefix).then_some((k.as_str(), v.as_str())))
    }

    /// Value of a reference, and whether it is a secret by its kind or name.
    fn value(&self, reference: &str) -> Result<(String, bool), Problem> {
        if let Some(path) = reference.strip_prefix("file:") {
            return self.secret_file(&self.dir.join(path)).map(|v| (v, true));
        }
        if let Some(name) = reference.strip_prefix("credential:") {
            let Some(folder) = self.values.get("CREDENTIALS_DIRECTORY") else {
                return Err(Problem::new("secret-unreadable", format!("the credential `{name}` was not handed to this process"))
                    .help("systemd hands credentials over with LoadCredential=; CREDENTIALS_DIRECTORY is not set"));
            };
            if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
                return Err(bad_reference(reference));
            }
            return self.secret_file(&Path::new(folder).join(name)).map(|v| (v, true));
        }
        if reference.is_empty()
            || !reference.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            || reference.as_bytes()[0].is_ascii_digit()
        {
            return Err(bad_reference(reference));
        }
        match self.values.get(reference) {
            Some(value) => Ok((value.clone(), names_secret(reference))),
            None => {
                let problem = Problem::new("unknown-variable", format!("the variable `{reference}` is not set"));
                Err(match nearest(reference, self.values.keys().map(String::as_str)) {
                    Some(near) => problem.help(format!("set it for this process; did you mean `{near}`?")),
                    None => problem.help("set it for this process (export NAME=value, or EnvironmentFile= in the service); write $${ for a literal ${"),
                })
            }
        }
    }

    fn secret_file(&self, path: &Path) -> Result<String, Problem> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(text.trim_end_matches(['\n', '\r']).to_owned()),
            Err(error) => Err(Problem::new("secret-unreadable", format!("{}: {error}", path.display()))
                .help("the file must exist, hold UTF-8 text and be readable by this process")),
        }
    }

    /// Puts the references of one text in.
    ///
    /// # Errors
    /// `unknown-variable`, `bad-reference`, `secret-unreadable`, without place: one for each reference.
    pub fn substitute(&self, written: &str) -> Result<Text, Problems> {
        let mut text = Text::plain("");
        let mut problems = Problems::default();
        let mut push = |value: &str, secret: bool| {
            text.value.push_str(value);
            text.shown.push_str(if secret { MASK } else { value });
        };
        let mut rest = written;
        while let Some(at) = rest.find('$') {
            push(&rest[..at], false);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("$${") {
                push("${", false);
                rest = after;
            } else if let Some(after) = rest.strip_prefix("${") {
                let Some(end) = after.find('}') else {
                    problems.push(bad_reference(after));
                    return Err(problems);
                };
                match self.value(&after[..end]) {
                    Ok((value, secret)) => push(&value, secret),
                    Err(problem) => problems.push(problem),
                }
                rest = &after[end + 1..];
            } else {
                push("$", false);
                rest = &rest[1..];
            }
        }
        push(rest, false);
        text.shown = mask_url(&text.shown);
        problems.into_result(text)
    }

    /// Puts variables into every text of a file, and refuses secrets that are written out.
    pub fn apply(&self, table: &mut Table, problems: &mut Problems) {
        literal_secrets(table, false, problems);
        table.for_each_text(&mut |key, text, place| self.apply_text(key, text, place, problems));
    }

    fn apply_text(&self, key: &str, text: &mut Text, place: Place, problems: &mut Problems) {
        match self.substitute(&text.value) {
            Ok(mut new) => {
                if SECRET_KEYS.contains(&key) && !is_template(&new.value) {
                    new.shown = MASK.to_owned();
                }
                *text = new;
            }
            Err(found) => problems.0.extend(found.0.into_iter().map(|problem| problem.at(place.clone()))),
        }
    }
}

/// `NAME=value` lines; blank lines and `#` lines are skipped, quotes around a value are taken off.
fn env_file(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.strip_prefix("export ").unwrap_or(line).split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), unquoted(value.trim()).to_owned())).collect()
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

/// Masks texts that came from a variable or a flag: they may hold secrets in clear.
pub fn mask_given(key: &str, text: &mut Text) {
    text.shown = if SECRET_KEYS.contains(&key) { MASK.to_owned() } else { mask_url(&text.value) };
}

fn bad_reference(reference: &str) -> Problem {
    Problem::new("bad-reference", format!("`${{{reference}` is not a reference to a variable"))
        .help("write ${NAME}, ${file:PATH} or ${credential:NAME}; write $${ for a literal ${")
}

/// Whether the name of a variable says that it holds a secret.
fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "PASSPHRASE"].iter().any(|word| name.contains(word))
}

/// `{password}`: filled in by a driver, not a secret itself.
fn is_template(text: &str) -> bool {
    text.starts_with('{') && text.ends_with('}')
}

/// The password part of `scheme://user:password@host`, as a range of the text.
fn url_password(text: &str) -> Option<std::ops::Range<usize>> {
    let start = text.find("://")? + 3;
    let authority = text[start..].find(['/', '?', '#']).map_or(text.len(), |end| start + end);
    let at = start + text[start..authority].rfind('@')?;
    let colon = start + text[start..at].find(':')?;
    (colon + 1 < at).then_some(colon + 1..at)
}

/// An address without its password.
pub fn mask_url(text: &str) -> String {
    match url_password(text) {
        Some(range) => format!("{}{MASK}{}", &text[..range.start], &text[range.end..]),
        None => text.to_owned(),
    }
}

fn literal_secrets(table: &Table, in_auth: bool, problems: &mut Problems) {
    for entry in &table.entries {
        let secret_key = SECRET_KEYS.contains(&entry.key.as_str()) || (in_auth && entry.key == "key");
        literal_in(&entry.key, &entry.node, secret_key, in_auth || entry.key == "auth", problems);
    }
}

fn literal_in(key: &str, node: &Node, secret_key: bool, in_auth: bool, problems: &mut Problems) {
    match &node.value {
        Value::Table(table) => literal_secrets(table, in_auth, problems),
        Value::List(list) => list.iter().for_each(|n| literal_in(key, n, secret_key, in_auth, problems)),
        Value::Text(text) if node.source.layer == Layer::File => {
            let whole = secret_key && !text.value.is_empty() && !text.value.contains("${") && !is_template(&text.value);
            // `${` before the password's colon would hide it: the password itself must be a reference.
            let in_url =
                url_password(&text.value).is_some_and(|r| !text.value[r.clone()].contains("${") && !is_template(&text.value[r]));
            if whole || in_url {
                problems.push(
                    Problem::new("literal-secret", format!("`{key}` holds a secret in clear text"))
                        .at(node.place())
                        .help("write a reference instead: \"${NAME}\" (a variable), \"${file:PATH}\" or \"${credential:NAME}\""),
                );
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::source::Source;

    fn variables() -> Variables {
        let values = [("HOST", "mail.example"), ("SMTP_PASSWORD", "canary-1"), ("ODD", "a:canary-2@")];
        Variables::given(values.map(|(k, v)| (k.to_owned(), v.to_owned())), Path::new("/nowhere"))
    }

    #[test]
    fn references_are_put_in_and_secrets_are_masked_for_people() {
        let text = variables().substitute("smtps://user:${SMTP_PASSWORD}@${HOST}:465").unwrap();
        assert_eq!(text.value, "smtps://user:canary-1@mail.example:465");
        assert_eq!(text.shown, "smtps://user:***@mail.example:465");
        assert_eq!(variables().substitute("$${HOST} costs $5").unwrap().value, "${HOST} costs $5");
        assert_eq!(variables().substitute("${NOPE}").unwrap_err().0[0].code, "unknown-variable");
        let both = variables().substitute("${NOPE}/${HOST}/${NOR_THIS}").unwrap_err();
        assert_eq!(both.0.len(), 2, "{both}");
        assert_eq!(variables().substitute("${HOST").unwrap_err().0[0].code, "bad-reference");
        assert_eq!(variables().substitute("${credential:x}").unwrap_err().0[0].code, "secret-unreadable");
        assert!(!format!("{text:?}").contains("canary"), "{text:?}");
    }

    #[test]
    fn a_file_of_variables_is_read_line_by_line() {
        let read = env_file("# no\n\nA=1\nexport B = \"two words\"\nC='x=y'\nD=\n");
        let pairs: Vec<_> = read.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "two words"), ("C", "x=y"), ("D", "")]);
    }

    #[test]
    fn a_credential_cannot_leave_its_folder() {
        let given = [("CREDENTIALS_DIRECTORY".to_owned(), "/etc".to_owned())];
        let variables = Variables::given(given, Path::new("/nowhere"));
        assert_eq!(variables.substitute("${credential:../passwd}").unwrap_err().0[0].code, "bad-reference");
    }

    #[test]
    fn secrets_in_clear_text_are_refused_and_templates_are_not() {
        let text = "url = \"postgres://u:canary@h/db\"\nopen = \"postgres://u@h:5432/db\"\n[auth]\nkey = \"canary\"\npassword = \"${SMTP_PASSWORD}\"\nlogin = [{ password = \"{password}\" }]\n[map]\nkey = \"plain\"\n";
        let mut table = Table::parse(&Source::file("a.toml", text)).unwrap();
        let mut problems = Problems::default();
        variables().apply(&mut table, &mut problems);
        let lines: Vec<_> = problems.0.iter().map(|p| (p.code.as_str(), p.place.as_ref().unwrap().line)).collect();
        assert_eq!(lines, [("literal-secret", Some(1)), ("literal-secret", Some(4))]);
        assert!(!problems.to_string().contains("canary"));
        let auth = table.get("auth").unwrap().as_table().unwrap();
        assert_eq!(auth.get("password").unwrap().as_text(), Some("canary-1"));
        assert!(!format!("{table:?}").contains("canary-1"));
    }
}
