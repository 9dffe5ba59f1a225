//! What cannot be read waits for itself: the other feeds of the night go on.

use crate::support::binary::Workspace;

const MAPPING: &str = r#"
target = "line"
sign = "signed"
[fields]
document_type = { const = "invoice" }
document_number = "number"
line_number = { const = "1" }
document_date = "date"
partner = { const = "C1" }
net_amount = "net"
currency = { default = "company" }
"#;
const AGREEMENT: &str = r#"
id = "A"
title = "10 %"
partners = ["C1"]
currency = "EUR"
valid = { from = "2026-01-01", to = "2026-12-31" }
settlement = { every = "year", method = "accrue-only" }
[[terms]]
id = "v"
type = "volume"
accumulate = "year"
qualifier = "net-amount"
base = "net-amount"
method = "retrospective"
tiers = [{ from = "0", rate = "10%" }]
"#;

fn connector(mapping: &str) -> String {
    format!(
        "driver = \"files\"\nversion = 1\n[feeds.tables]\nfolder = \"tables\"\nmapping = \"canonical-lines\"\n\
         [feeds.exports]\nfolder = \"exports\"\nmapping = \"{mapping}\"\n"
    )
}

fn codes(workspace: &Workspace) -> Vec<String> {
    let open = workspace.run(["exception", "list", "--json"]).ok().json();
    open.as_array().unwrap().iter().map(|e| e["code"].as_str().unwrap().to_owned()).collect()
}

fn earned(workspace: &Workspace) -> String {
    workspace.run(["accruals", "--json"]).ok().json()[0]["earned"].as_str().unwrap().to_owned()
}

#[test]
fn documents_of_a_mapping_that_was_renamed_wait_and_the_others_count() {
    let workspace = Workspace::trusting("EUR");
    workspace.write("mappings/old-name.toml", MAPPING);
    workspace.write("connectors/shop.toml", connector("old-name"));
    workspace.write("agreements/a.toml", AGREEMENT);
    workspace.write("partners.csv", "partner,name,email\nC1,Corner Shop,c1@example.test\n");
    workspace.run(["import", "partners", "partners.csv"]).ok();
    workspace.write("exports/1.csv", "number,date,net\nI-1,2026-03-02,1000.00\n");
    workspace.write(
        "tables/2.csv",
        "document_type,document_number,line_number,document_date,partner,net_amount,currency\ninvoice,I-2,1,2026-03-02,C1,500.00,EUR\n",
    );
    workspace.run(["run", "--business-day", "2026-03-30", "--steps", "pull"]).ok();

    // One page waits when the mapping gets another name.
    std::fs::remove_file(workspace.path().join("mappings/old-name.toml")).unwrap();
    workspace.write("mappings/new-name.toml", MAPPING);
    workspace.write("connectors/shop.toml", connector("new-name"));
    workspace.run(["run", "--business-day", "2026-03-31"]).expect_code(1);
    assert_eq!(earned(&workspace), "50.00");
    assert_eq!(codes(&workspace), ["feed-without-mapping"]);
    workspace.run(["run", "--business-day", "2026-04-01"]).expect_code(1);
    assert_eq!(codes(&workspace), ["feed-without-mapping"], "told once");

    workspace.write("mappings/old-name.toml", MAPPING);
    workspace.run(["run", "--business-day", "2026-04-02"]).ok();
    assert_eq!(earned(&workspace), "150.00");
    assert_eq!(codes(&workspace), Vec::<String>::new());
}

#[test]
fn memos_of_a_connector_that_cannot_be_opened_wait_and_the_others_are_sent() {
    let workspace = Workspace::trusting_with("EUR", "auto_approve_below = \"1000\"\n");
    let agreement = AGREEMENT.replace("accrue-only", "credit-memo").replace("year\", method", "quarter\", method");
    let of = |id: &str, connector: &str| {
        agreement
            .replace("id = \"A\"", &format!("id = \"{id}\""))
            .replace("\"credit-memo\" }", &format!("\"credit-memo\", connector = \"{connector}\" }}"))
    };
    workspace.write("agreements/a.toml", of("A", "ledger"));
    workspace.write("agreements/b.toml", of("B", "folder"));
    let folder = "driver = \"files\"\nversion = 1\n[push.credit-memo]\nfolder = \"payout\"\nformats = [\"json\"]\n";
    workspace.write("connectors/folder.toml", folder);
    workspace.write("connectors/ledger.toml", folder.replace("payout", "ledger"));
    workspace.write("partners.csv", "partner,name,email\nC1,Corner Shop,c1@example.test\n");
    workspace.write(
        "lines.csv",
        "document_type,document_number,line_number,document_date,partner,net_amount,currency\ninvoice,I-2,1,2026-03-02,C1,500.00,EUR\n",
    );
    workspace.run(["import", "partners", "partners.csv"]).ok();
    workspace.run(["import", "lines", "lines.csv"]).ok();
    // The ledger moved, and its address was written down badly.
    workspace.write(
        "connectors/ledger.toml",
        "driver = \"json-rpc\"\nversion = 1\nbase_url = \"ftp://ledger.example\"\n[push.credit-memo]\n\
         lookup = { method = \"memo.find\", params = [\"{reference}\"] }\n\
         read = { document = \"number\", state = \"state\", done = [\"posted\"], amount = \"total\" }\n\
         steps = [{ name = \"create\", method = \"memo.new\", params = [\"{reference}\"], gives = \"id\" }]\n",
    );
    workspace.run(["run", "--business-day", "2026-03-31"]).expect_code(1);
    let settlements = workspace.run(["settlement", "list", "--json"]).ok().json();
    let state = |id: &str| settlements.as_array().unwrap().iter().find(|s| s["agreement"] == id).unwrap()["state"].clone();
    assert_eq!((state("A"), state("B")), ("sending".into(), "confirmed".into()));
    assert_eq!(codes(&workspace), ["connector-file"]);
    // Mended, it goes out once.
    workspace.write("connectors/ledger.toml", folder.replace("payout", "ledger"));
    workspace.run(["run", "--business-day", "2026-04-01"]).ok();
    assert_eq!(codes(&workspace), Vec::<String>::new());
    let files =
        std::fs::read_dir(workspace.path().join("ledger")).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.filter(|name| name.ends_with(".json")).count(), 1);
}

#[test]
fn a_connector_that_was_mended_holds_nothing_any_more() {
    let workspace = Workspace::trusting("EUR");
    let broken = "driver = \"json-rpc\"\nversion = 1\nbase_url = \"ftp://erp.example\"\n[feeds.tables]\n\
                  mapping = \"canonical-lines\"\nmethod = \"line.list\"\nparams = [\"{after}\"]\nafter = [\"id\", \">\", \"{last}\"]\n";
    workspace.write("connectors/shop.toml", broken);
    workspace.run(["run", "--business-day", "2026-03-30"]).expect_code(3);
    assert_eq!(codes(&workspace), ["feed-failed"]);
    workspace.write("connectors/shop.toml", connector("canonical-lines"));
    workspace.write("tables/empty.csv", "document_type,document_number,line_number,document_date,partner,net_amount,currency\n");
    std::fs::create_dir_all(workspace.path().join("exports")).unwrap();
    workspace.run(["run", "--business-day", "2026-03-31"]).ok();
    assert_eq!(codes(&workspace), Vec::<String>::new());
}
