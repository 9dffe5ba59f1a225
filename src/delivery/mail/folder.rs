//! The folder transport: each message becomes a file, for trials and for companies whose own
//! system sends the mail. Invariant: a file appears whole or not at all, and the same message
//! always has the same file name.

use super::{BuiltMail, SendOutcome};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes messages as `.eml` files.
#[derive(Clone, Debug)]
pub struct FolderTransport {
    path: PathBuf,
}

impl FolderTransport {
    /// A transport into `path`; the folder is created with the first message.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one message.
    pub async fn send(&self, mail: &BuiltMail) -> SendOutcome {
        let name = file_name(&mail.message_id);
        match self.write(&name, &mail.bytes) {
            Ok(()) => SendOutcome::Sent { queue_id: name },
            Err(error) => SendOutcome::NotSent { reason: format!("{}: {error}", self.path.display()) },
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.path)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(self.path.join(name)).map_err(|e| e.error)?;
        std::fs::File::open(&self.path)?.sync_all()
    }
}

/// The message id's left part; anything else than letters, digits, dot and dash is replaced, so
/// that no id reaches outside the folder.
fn file_name(message_id: &str) -> String {
    let local = message_id.trim_matches(['<', '>']).split('@').next().unwrap_or("");
    let safe: String = local.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' }).collect();
    format!("{}.eml", safe.trim_start_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_id_reaches_outside_the_folder() {
        assert_eq!(file_name("<rebated.12ab@x.example>"), "rebated.12ab.eml");
        assert_eq!(file_name("<../../etc/passwd@x>"), "_.._etc_passwd.eml");
    }
}
