//! A workspace as a whole: layers, variables, secrets, the shipped library, places of problems.

use rebated::config::variables::Variables;
use rebated::config::{FileTrust, MailTransportConfig, Workspace};
use rebated::core::number::Micros;
use secrecy::ExposeSecret;
use std::path::Path;
use std::time::Duration;

pub const COMPANY: &str = "[company]\nname = \"Northwind\"\ncurrency = \"USD\"\ntimezone = \"America/Chicago\"\n";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn given(values: &[(&str, &str)], dir: &Path) -> Variables {
    Variables::given(values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())), dir)
}

fn load(dir: &tempfile::TempDir, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Workspace, String> {
    let flags: Vec<_> = flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Workspace::load_with(dir.path(), &flags, &given(variables, dir.path())).map_err(|p| p.to_string())
}

#[test]
fn a_workspace_of_three_lines_has_every_default() {
    let dir = folder(&[("rebated.toml", COMPANY)]);
    let workspace = load(&dir, &[], &[]).unwrap();
    let config = &workspace.config;
    assert_eq!((config.company.code.as_str(), config.company.timezone), ("1", chrono_tz::America::Chicago));
    assert_eq!(workspace.store_url(), format!("sqlite://{}/rebated.db", dir.path().display()));
    assert_eq!(config.approval.two_approvers_from, Micros(10_000_000_000));
    assert_eq!(config.approval.agreement_files, FileTrust::NeedApproval);
    assert_eq!((config.run.heartbeat, config.run.abandon_after), (Duration::from_secs(60), Duration::from_secs(600)));
    assert!(matches!(&config.mail.transport, MailTransportConfig::Folder { path } if path == "outbox"));
    assert!(workspace.schedule("nightly").is_some_and(|s| s.shipped));
}

#[test]
fn layers_go_default_file_variable_flag_and_every_value_names_its_origin() {
    let dir = folder(&[("rebated.toml", &format!("{COMPANY}[run]\nheartbeat = \"30s\"\nabandon_after = \"5m\"\n"))]);
    let variables =
        [("REBATED_RUN_HEARTBEAT", "20s"), ("REBATED_STORE__URL", "postgres://u:canary@h/db"), ("REBATED_TOKEN", "x")];
    let workspace = load(&dir, &variables, &[("store.url", "sqlite://flag.db")]).unwrap();
    assert_eq!(workspace.config.run.heartbeat, Duration::from_secs(20));
    assert_eq!(workspace.config.run.abandon_after, Duration::from_secs(300));
    let shown = |key: &str| {
        let found = workspace.shown.iter().find(|s| s.key == key).unwrap();
        (found.value.as_str().unwrap().to_owned(), found.layer, found.origin.clone())
    };
    assert_eq!(shown("run.late_after"), ("2h".into(), "default", "default".into()));
    assert_eq!(shown("run.abandon_after"), ("5m".into(), "file", "rebated.toml:7:17".into()));
    assert_eq!(shown("run.heartbeat"), ("20s".into(), "variable", "REBATED_RUN_HEARTBEAT".into()));
    assert_eq!(shown("store.url"), ("sqlite://flag.db".into(), "flag", "--store".into()));
    let without_flag = load(&dir, &variables, &[]).unwrap();
    assert_eq!(without_flag.config.store.url.expose_secret(), "postgres://u:canary@h/db");
    assert!(without_flag.shown.iter().any(|s| s.value == "postgres://u:***@h/db"));
}

#[test]
fn a_transport_of_another_kind_replaces_the_whole_table() {
    let file =
        format!("{COMPANY}[mail]\ntransport = {{ type = \"smtp\", url = \"smtps://u:${{SMTP_PASSWORD}}@mail.example:465\" }}\n");
    let dir = folder(&[("rebated.toml", &file)]);
    let workspace = load(&dir, &[("SMTP_PASSWORD", "canary")], &[]).unwrap();
    let MailTransportConfig::Smtp { url, .. } = &workspace.config.mail.transport else { panic!() };
    assert_eq!(url.expose_secret(), "smtps://u:canary@mail.example:465");
    let variables =
        [("SMTP_PASSWORD", "canary"), ("REBATED_MAIL_TRANSPORT_TYPE", "folder"), ("REBATED_MAIL_TRANSPORT_PATH", "elsewhere")];
    let workspace = load(&dir, &variables, &[]).unwrap();
    assert!(matches!(&workspace.config.mail.transport, MailTransportConfig::Folder { path } if path == "elsewhere"));
}

#[test]
fn a_secret_is_nowhere_in_debug_output_in_config_show_or_in_problems() {
    let file = format!(
        "{COMPANY}[store]\nurl = \"postgres://u:${{file:db-password}}@h/db\"\n[mail]\ntransport = {{ type = \"smtp\", url = \"smtps://u:${{credential:smtp}}@m:465\" }}\n"
    );
    let connector = "driver = \"json-rpc\"\nbase_url = \"https://erp.example\"\n[auth]\ntype = \"session\"\nuser = \"u\"\npassword = \"${ERP_PASSWORD}\"\n";
    let dir = folder(&[
        ("rebated.toml", &file),
        ("connectors/erp.toml", connector),
        ("db-password", "canary-db\n"),
        ("credentials/smtp", "canary-smtp"),
    ]);
    let credentials = dir.path().join("credentials").display().to_string();
    let variables =
        [("CREDENTIALS_DIRECTORY", credentials.as_str()), ("ERP_PASSWORD", "canary-erp"), ("ALERT_TOKEN", "canary-x")];
    let workspace = load(&dir, &variables, &[]).unwrap();
    assert_eq!(workspace.config.store.url.expose_secret(), "postgres://u:canary-db@h/db");
    assert_eq!(workspace.connector("erp").unwrap().secrets["password"].expose_secret(), "canary-erp");
    let everything = format!("{workspace:?}{}", serde_json::to_string(&workspace.shown).unwrap());
    assert!(!everything.contains("canary"), "{everything}");
    // A secret of the wrong kind is refused without being repeated.
    let bad = folder(&[("rebated.toml", &format!("{COMPANY}[run]\nheartbeat = \"${{ALERT_TOKEN}}\"\n"))]);
    let refused = load(&bad, &variables, &[]).unwrap_err();
    assert!(refused.contains("[bad-duration]") && !refused.contains("canary"), "{refused}");
}

#[test]
fn every_problem_of_every_file_comes_at_once() {
    let dir = folder(&[
        ("rebated.toml", "[company]\nname = \"N\"\ncurrency = \"USD\"\ntimezone = \"America/Chicag\"\n[stor]\n"),
        ("agreements/a.toml", "id = \"A\"\n"),
        ("connectors/c.toml", "driver = \"files\"\n[feeds.x]\nfolder = \"in\"\nmappin = \"m\"\n"),
        ("connectors/d.toml", "driver = \"odata\"\n"),
        ("connectors/e.toml", "driver = \"json-rpc\"\nbase_url = \"${ERP_URL}\"\n"),
        ("schedules/s.toml", "cron = \"0 30 1 30 2 *\"\ntimezone = \"Mars/Olympus\"\n"),
        ("schedules/t.toml", "cron = \"30 1 * * *\"\nsteps = [\"pull\", \"pay\"]\n"),
    ]);
    let refused = load(&dir, &[], &[]).unwrap_err();
    for expected in [
        "rebated.toml:4:12: `timezone`: `America/Chicag` is not a time zone [unknown-zone]; did you mean \"America/Chicago\"?",
        "rebated.toml:5:2: `stor` is not a key of rebated.toml [unknown-key]; did you mean `store`?",
        "agreements/a.toml:1:1: `currency` is missing in an agreement [missing-key]",
        "connectors/c.toml:4:1: `mappin` is not a key of a feed of files [unknown-key]; did you mean `mapping`?",
        "connectors/d.toml:1:10: `driver`: `odata` is not supported yet [not-yet-supported]",
        "connectors/e.toml:2:12: the variable `ERP_URL` is not set [unknown-variable]",
        "schedules/s.toml:2:12: `timezone`: `Mars/Olympus` is not a time zone [unknown-zone]",
        "schedules/t.toml:2:18: `steps`: `pay` is not one of the words known here [unknown-word]",
    ] {
        assert!(refused.contains(expected), "missing: {expected}\n{refused}");
    }
}

#[test]
fn a_date_that_never_comes_is_refused_at_its_place() {
    let dir = folder(&[("rebated.toml", COMPANY), ("schedules/s.toml", "cron = \"0 30 1 30 2 *\"\n")]);
    let refused = load(&dir, &[], &[]).unwrap_err();
    assert!(refused.starts_with("schedules/s.toml:1:8: ") && refused.contains("[bad-cron]"), "{refused}");
}

#[test]
fn a_workspace_file_of_the_same_name_wins_over_the_shipped_one() {
    let dir = folder(&[("rebated.toml", COMPANY), ("schedules/nightly.toml", "cron = \"0 0 3 * * *\"\n")]);
    let workspace = load(&dir, &[], &[]).unwrap();
    let nightly = workspace.schedule("nightly").unwrap();
    assert_eq!((nightly.cron.as_str(), nightly.shipped), ("0 0 3 * * *", false));
    assert!(workspace.schedule("intraday").unwrap().shipped);
}

#[test]
fn two_files_of_one_version_and_amendments_in_the_wrong_order_are_refused() {
    let agreement = |head: &str| {
        format!(
            "id = \"A\"\npartners = [\"P\"]\ncurrency = \"USD\"\nvalid = {{ from = \"2026-01-01\", to = \"2026-12-31\" }}\n{head}\n[[terms]]\nid = \"t\"\ntype = \"fixed\"\namount = \"1.00\"\n"
        )
    };
    let dir = folder(&[
        ("rebated.toml", COMPANY),
        ("agreements/a1.toml", &agreement("")),
        ("agreements/a2.toml", &agreement("version = 2\nvalid_from = \"2026-07-01\"")),
        ("agreements/a3.toml", &agreement("version = 3\nvalid_from = \"2026-04-01\"")),
        ("agreements/again.toml", &agreement("")),
    ]);
    let refused = load(&dir, &[], &[]).unwrap_err();
    assert!(refused.contains("agreements/a3.toml:6:14: version 3 rules from 2026-04-01, version 2 from 2026-07-01 (version 2 is in agreements/a2.toml) [amendment]"), "{refused}");
    assert!(
        refused.contains("agreements/again.toml:1:6: version 1 of agreement `A` is also in agreements/a1.toml [duplicate-id]"),
        "{refused}"
    );
}

#[test]
fn a_variable_that_names_no_key_is_refused_and_other_ones_are_left_alone() {
    let dir = folder(&[("rebated.toml", COMPANY)]);
    let refused = load(&dir, &[("REBATED_STORE_URI", "x")], &[]).unwrap_err();
    assert!(
        refused.contains(
            "REBATED_STORE_URI: `REBATED_STORE_URI` names no key of rebated.toml [unknown-key]; did you mean `REBATED_STORE_URL`?"
        ),
        "{refused}"
    );
    load(&dir, &[("REBATED_TOKEN", "x"), ("REBATED_WORKSPACE", "y"), ("REBATED_TESTS_WITHOUT_X", "1")], &[]).unwrap();
}

#[test]
fn every_shipped_connector_is_accepted_and_names_mappings_that_exist() {
    let shipped = rebated::config::library::connectors();
    assert!(shipped.len() >= 2, "{shipped:?}");
    let mappings = rebated::config::library::mappings();
    for file in shipped {
        let names = file.text.split("${").skip(1).filter_map(|rest| rest.split('}').next());
        let values: Vec<(String, String)> = names.map(|n| (n.to_owned(), "https://erp.example".to_owned())).collect();
        let variables = Variables::given(values, Path::new("."));
        let path = format!("connectors/{}.toml", file.name);
        let connector = rebated::config::connector_file::parse(file.name, &path, file.text, &variables).unwrap();
        for (key, mapping) in connector.mappings() {
            assert!(mappings.iter().any(|m| m.name == mapping), "{path}: {key} names {mapping}");
        }
    }
}

#[test]
fn a_new_workspace_is_accepted_whatever_connectors_it_starts_with() {
    use rebated::config::check::{NothingFurther, check_with};
    let all: Vec<String> = rebated::config::library::connectors().iter().map(|c| c.name.to_owned()).collect();
    for connectors in [Vec::new(), all] {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("new");
        let written = rebated::config::init::write_workspace(&dir, &connectors).unwrap();
        for folder in ["exchange/invoices", "exchange/credit-memos"] {
            assert_eq!(dir.join(folder).is_dir(), connectors.iter().any(|c| c == "files"), "{folder}");
        }
        assert!(written.iter().any(|p| p == "rebated.toml"), "{written:?}");
        let report = check_with(&dir, &[], &Variables::of_process(&dir), &mut NothingFurther);
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        assert_eq!(report.files.iter().filter(|f| f.starts_with("connectors/")).count(), connectors.len());
        let again = rebated::config::init::write_workspace(&dir, &[]).unwrap_err();
        assert!(again.to_string().contains("[workspace-exists]"), "{again}");
    }
    let unknown = rebated::config::init::write_workspace(Path::new("/nowhere"), &["trytn".to_owned()]).unwrap_err();
    assert!(unknown.to_string().contains("did you mean `tryton`?"), "{unknown}");
}

#[test]
fn the_example_agreement_is_accepted_once_its_comment_signs_are_gone() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("new");
    rebated::config::init::write_workspace(&dir, &[]).unwrap();
    let path = dir.join("agreements/example.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().skip(2).map(|l| l.strip_prefix("# ").unwrap_or("")).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let workspace = Workspace::load(&dir, &[]).unwrap();
    assert_eq!(workspace.agreements[0].0.id, "ACME-2026");
    assert_eq!(workspace.agreements[0].1.path, "agreements/example.toml");
}

#[test]
fn the_commands_end_as_documented_and_print_places() {
    use crate::support::binary::Workspace as Program;
    let program = Program::with_config(COMPANY);
    program.write("agreements/a.toml", "id = \"A\"\n");
    let refused = program.run(["check"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stdout.contains("agreements/a.toml:1:1: `currency` is missing in an agreement [missing-key]"), "{refused:?}");
    assert_eq!(program.run(["config", "show"]).code, 2);
    std::fs::remove_file(program.path().join("agreements/a.toml")).unwrap();
    assert_eq!(program.run(["check"]).code, 0);
    let shown = program.run(["config", "show", "--json"]);
    assert!(shown.stdout.contains("rebated.toml:2:8"), "{shown:?}");
    assert_eq!(Program::empty().run(["check"]).code, 2);
}

#[test]
fn every_fault_of_a_schedule_and_of_a_text_comes_at_once() {
    let schedule = "cron = \"30 1 * * *\"\ntimezone = \"Mars/Olympus\"\nmissed = \"perhaps\"\n[notify]\nwebhook = \"ftp://x\"\n";
    let connector = "driver = \"json-rpc\"\nversion = 1\nbase_url = \"${BC_URL}/${BC_COMPANY}\"\n";
    let dir = folder(&[("rebated.toml", COMPANY), ("schedules/nightly.toml", schedule), ("connectors/bc.toml", connector)]);
    let found = load(&dir, &[("REBATED_STOR_URL", "x"), ("REBATED_TOKEN", "t"), ("REBATED_OF_SOMEBODY", "1")], &[]).unwrap_err();
    for expected in [
        "schedules/nightly.toml:1:8: `30 1 * * *` has 5 fields",
        "schedules/nightly.toml:2:12:",
        "schedules/nightly.toml:3:10:",
        "schedules/nightly.toml:5:11: `webhook` is not an address of the web",
        "the variable `BC_URL` is not set",
        "the variable `BC_COMPANY` is not set",
        "`REBATED_STOR_URL` names no key of rebated.toml [unknown-key]; did you mean `REBATED_STORE_URL`?",
    ] {
        assert!(found.contains(expected), "{expected}\n--- found:\n{found}");
    }
    assert!(!found.contains("REBATED_TOKEN") && !found.contains("REBATED_OF_SOMEBODY"), "{found}");
}

#[test]
fn the_fiscal_calendar_comes_from_one_of_its_keys_and_business_days_from_another() {
    let march = "fiscal_year_start = \"03-01\"\nyear_name = \"end\"\n";
    let weeks = "calendar = \"4-5-4\"\nyear_end = { choose = \"nearest\", month = \"january\" }\n";
    let day = |text: &str| text.parse::<chrono::NaiveDate>().unwrap();
    for (keys, in_year, label, last) in [
        ("", "2024-02-29", "2024", "2024-12-31"),
        (march, "2024-02-29", "2024", "2024-02-29"),
        (weeks, "2024-02-03", "2023", "2024-02-03"),
        ("calendar = \"4-4-5\"\n", "2026-12-26", "2026", "2026-12-26"),
    ] {
        let dir = folder(&[("rebated.toml", &format!("{COMPANY}{keys}"))]);
        let calendar = load(&dir, &[], &[]).unwrap().config.company.calendar;
        let year = calendar.year(day(in_year));
        assert_eq!((rebated::core::period::period_label(year, &calendar).as_str(), year.to), (label, day(last)), "{keys}");
        assert_eq!((calendar.is_business_day(day("2026-11-27")), calendar.is_business_day(day("2026-11-28"))), (true, false));
    }
    let keys = "weekend = [\"friday\", \"saturday\"]\nholidays = \"days off.csv\"\n";
    let table = "\u{feff}name,date\r\n\"New Year\",2026-01-01\r\n";
    let dir = folder(&[("rebated.toml", &format!("{COMPANY}{keys}")), ("days off.csv", table)]);
    let workspace = load(&dir, &[], &[]).unwrap();
    let calendar = &workspace.config.company.calendar;
    // January 2026: 31 days, five Fridays and five Saturdays, New Year on a Thursday.
    assert_eq!(calendar.business_days(calendar.month(day("2026-01-15"))), 20);
    assert!(workspace.files.iter().any(|f| f.path == "days off.csv"), "each load of a file is audited");
}
