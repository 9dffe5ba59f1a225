//! The workspace: typed files, layers, secrets, diagnostics with `file:line:column`.

pub mod agreement_file;
pub mod agreement_shapes;
pub(crate) mod calendar;
pub mod check;
pub mod checks;
pub mod connector_file;
pub mod init;
pub mod ladder;
pub mod layers;
pub mod library;
pub mod reader;
pub mod rebated_file;
pub mod schedule_file;
pub mod schema;
pub mod shape;
pub mod source;
pub mod terms;
pub mod tree;
pub mod value;
pub mod variables;
pub mod workspace;

pub use connector_file::ConnectorConfig;
pub use rebated_file::{FileTrust, MailTransportConfig, RebatedConfig};
pub use schedule_file::ScheduleFile;
pub use workspace::{AgreementSource, FileHash, LookupText, MappingFile, Workspace};
