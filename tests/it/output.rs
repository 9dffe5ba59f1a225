//! Where the output goes: readers that leave, disks that are full.

use crate::support::binary::Workspace;
use std::fs::File;
use std::io::{Read, pipe};
use std::process::Stdio;

/// An end of a pipe that nobody reads from.
fn closed() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

fn workspace() -> Workspace {
    let workspace = Workspace::empty();
    workspace.run(["init", "."]).ok();
    workspace
}

#[test]
fn a_reader_that_leaves_ends_a_command_quietly_and_with_the_exit_code_of_its_work() {
    let workspace = workspace();
    let mut child = workspace.command(["config", "show"]).stdout(closed()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));

    // The work is done although nobody listens any more, on either side.
    let status = workspace
        .command(["user", "add", "fin1", "--role", "finance-approver"])
        .stdout(closed())
        .stderr(closed())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(workspace.run(["user", "list"]).ok().stdout.contains("fin1"));
    let status = workspace.command(["settlement", "show", "7"]).stdout(closed()).stderr(closed()).status().unwrap();
    assert_eq!(status.code(), Some(2), "wrong use stays wrong use");
}

#[test]
fn output_that_is_lost_for_another_reason_is_a_failure() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = workspace().command(["config", "show"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("could not be written"), "{output:?}");
}
