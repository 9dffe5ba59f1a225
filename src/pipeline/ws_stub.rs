//! stub
#![allow(missing_docs)]
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::period::FiscalCalendar;
use crate::core::problem::{Problem, Problems};
use crate::core::reconcile::Tolerance;
use std::path::{Path, PathBuf};
use std::time::Duration;
pub struct Company { pub name: String, pub code: String, pub currency: Currency, pub timezone: chrono_tz::Tz, pub calendar: FiscalCalendar }
pub struct Mail { pub from: String }
pub struct RunCfg { pub heartbeat: Duration, pub abandon_after: Duration }
pub struct Approval { pub two_approvers_from: Micros, pub auto_approve_below: Micros, pub file_author: String }
impl Approval { pub fn agreement_files_trusted(&self) -> bool { true } }
pub struct Reconcile {}
impl Reconcile { pub fn tolerance(&self) -> Tolerance { unreachable!() } }
pub struct Config { pub company: Company, pub mail: Mail, pub run: RunCfg, pub approval: Approval, pub reconcile: Reconcile }
pub struct AgreementFile { pub version: crate::core::agreement::AgreementVersion, pub name: String, pub text: String }
pub struct Workspace { pub dir: PathBuf, pub config: Config, pub connectors: Vec<crate::drivers::ConnectorConfig>, pub agreements: Vec<AgreementFile> }
impl Workspace {
    pub fn load(_: &Path, _: &[(String, String)]) -> Result<Self, Problems> { unreachable!() }
    pub fn store_url(&self) -> String { String::new() }
    pub fn mapping_text(&self, _: &str) -> Option<(String, String)> { None }
    pub fn lookup_text(&self, _: &str) -> Option<(String, String)> { None }
    pub fn mail_transport(&self) -> Result<Option<crate::delivery::mail::MailTransport>, Problem> { Ok(None) }
}
