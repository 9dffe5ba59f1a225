//! stub
use super::app::Failure;
use super::{Done, Global};
#[derive(Debug, clap::Args)]
pub struct Demo {}
pub async fn run(_: Demo, _: &Global) -> Result<Done, Failure> {
    Ok(Done::Clean)
}
