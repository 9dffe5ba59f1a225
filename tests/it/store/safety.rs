//! Audit trail, backups and schema versions.

use super::*;

// ---------------------------------------------------------------------------------------------
// The audit trail.

/// Frees the audit table as somebody with the database's password would.
async fn free_audit(tx: &mut Tx) {
    let drops: &[&str] = match tx {
        Tx::Sqlite(_) => &["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"],
        Tx::Postgres(_) => &["DROP TRIGGER audit_no_change ON audit"],
    };
    for sql in drops {
        raw(tx, sql).await.unwrap();
    }
}

#[tokio::test]
async fn tampering_with_the_audit_trail_is_found_even_where_the_triggers_were_dropped() {
    let tricks: [(&str, &[&str], i64); 6] = [
        ("edited", &["UPDATE audit SET detail = '{\"why\":\"nothing\"}' WHERE id = 2"], 2),
        (
            "edited by one character moved to the next field",
            &["UPDATE audit SET action = 'tw', subject = 'osubject' WHERE id = 2"],
            2,
        ),
        ("dated back", &["UPDATE audit SET at = '2026-03-01T02:00:00+00:00' WHERE id = 4"], 4),
        ("deleted", &["DELETE FROM audit WHERE id = 2"], 3),
        (
            "deleted and closed up",
            &["DELETE FROM audit WHERE id = 2", "UPDATE audit SET id = 2 WHERE id = 3", "UPDATE audit SET id = 3 WHERE id = 4"],
            2,
        ),
        (
            "swapped",
            &[
                "UPDATE audit SET id = 9 WHERE id = 2",
                "UPDATE audit SET id = 2 WHERE id = 3",
                "UPDATE audit SET id = 3 WHERE id = 9",
            ],
            2,
        ),
    ];
    for open in both().await {
        let mut tx = open.store.begin().await.unwrap();
        fill(&mut tx).await;
        assert_eq!(tx.verify_audit().await.unwrap(), Ok(4));
        tx.commit().await.unwrap();
        for (name, statements, bad) in tricks {
            let mut tx = open.store.begin().await.unwrap();
            free_audit(&mut tx).await;
            for sql in statements {
                assert_eq!(raw(&mut tx, sql).await.unwrap(), 1, "{sql}");
            }
            assert_eq!(tx.verify_audit().await.unwrap(), Err(bad), "{name} on {}", open.store.dialect());
            tx.rollback().await.unwrap();
        }
        // What is cut off at the end fits together; whoever kept the head sees it.
        let mut tx = open.store.begin().await.unwrap();
        let head = tx.audit_head().await.unwrap();
        free_audit(&mut tx).await;
        raw(&mut tx, "DELETE FROM audit WHERE id = 4").await.unwrap();
        assert_ne!(tx.audit_head().await.unwrap(), head);
        tx.rollback().await.unwrap();
        let mut tx = open.store.read().await.unwrap();
        assert_eq!(tx.verify_audit().await.unwrap(), Ok(4), "rolled back, it fits again");
    }
}

#[test]
fn audit_verify_says_which_row_does_not_fit() {
    let workspace = Workspace::with_config(
        "[company]\nname = \"Test\"\ncurrency = \"USD\"\ntimezone = \"UTC\"\n[store]\nurl = \"sqlite://rebated.db\"\n\
         [mail]\nfrom = \"r@example.org\"\ntransport = { type = \"folder\", path = \"outbox\" }\n",
    );
    for name in ["anna", "ben", "cleo"] {
        workspace.run(["user", "add", name, "--role", "auditor"]).ok();
    }
    let head = workspace.run(["audit", "verify", "--json"]).ok().json()["head"].as_str().unwrap().to_owned();
    let url = format!("sqlite://{}", workspace.path().join("rebated.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::connect(&url).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        free_audit(&mut tx).await;
        let changed = raw(&mut tx, "UPDATE audit SET detail = REPLACE(detail, 'auditor', 'admin') WHERE id = 2").await.unwrap();
        assert_eq!(changed, 1);
        tx.commit().await.unwrap();
        store.close().await;
    });
    let told = workspace.run(["audit", "verify", "--json"]).expect_code(1).json();
    assert_eq!(told, serde_json::json!({ "first_bad_row": 2, "intact": false }));

    // The last rows cut off: what is left fits, and only the head that was kept tells.
    let raw_all = |statements: &'static [&'static str]| {
        runtime.block_on(async {
            let store = Store::connect(&url).await.unwrap();
            let mut tx = store.begin().await.unwrap();
            for statement in statements {
                raw(&mut tx, statement).await.unwrap();
            }
            tx.commit().await.unwrap();
            store.close().await;
        });
    };
    raw_all(&["UPDATE audit SET detail = REPLACE(detail, 'admin', 'auditor') WHERE id = 2"]);
    let verify = ["audit", "verify", "--json", "--head", head.as_str()];
    let told = workspace.run(verify).ok().json();
    assert_eq!((&told["rows"], &told["head_found"], &told["head"]), (&3.into(), &true.into(), &head.clone().into()));
    raw_all(&["DELETE FROM audit WHERE id = 3"]);
    workspace.run(["audit", "verify"]).ok();
    let told = workspace.run(verify).expect_code(1).json();
    assert_eq!((&told["rows"], &told["intact"], &told["head_found"]), (&2.into(), &false.into(), &false.into()));
    assert!(workspace.run(["audit", "verify", "--head", &head]).expect_code(1).stdout.contains("cut off"));
}

// ---------------------------------------------------------------------------------------------
// Backups and schema versions.

#[tokio::test]
async fn a_backup_of_sqlite_is_whole_never_overwrites_and_shows_what_rots() {
    let open = sqlite().await;
    let mut tx = open.store.begin().await.unwrap();
    fill(&mut tx).await;
    tx.commit().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("backup.db");
    open.store.backup(&to).await.unwrap();
    assert!(matches!(open.store.backup(&to).await, Err(StoreError::Io { .. })), "a second backup must not overwrite the first");
    let copy = Store::connect(&format!("sqlite://{}", to.display())).await.unwrap();
    let found = copy.verify().await.unwrap();
    assert_eq!(found.problems, Vec::<String>::new());
    assert_eq!((found.schema_version, found.audit_rows, found.archived_documents), (latest_version(), 4, 1));
    assert_eq!(found, open.store.verify().await.unwrap());
    let mut tx = copy.begin().await.unwrap();
    raw(&mut tx, "DROP TRIGGER archive_no_update").await.unwrap();
    raw(&mut tx, "UPDATE archive SET sha256 = 'x'").await.unwrap();
    free_audit(&mut tx).await;
    raw(&mut tx, "UPDATE audit SET actor = 'mallory' WHERE id = 3").await.unwrap();
    tx.commit().await.unwrap();
    let found = copy.verify().await.unwrap();
    assert_eq!(found.problems.len(), 2, "{:?}", found.problems);
    assert_eq!(found.archived_documents, 0);
}

#[tokio::test]
async fn a_backup_of_postgres_can_be_restored_into_an_empty_database() {
    let (Some(one), Some(two)) = (Database::fresh(), Database::fresh()) else { return };
    let store = Store::open(&one.url).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    fill(&mut tx).await;
    tx.commit().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("backup.dump");
    store.backup(&to).await.unwrap();
    assert!(store.backup(&to).await.is_err(), "a second backup must not overwrite the first");
    let restored = std::process::Command::new("pg_restore").args(["--no-owner", "--dbname", &two.url]).arg(&to).output().unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let copy = Store::connect(&two.url).await.unwrap();
    let found = copy.verify().await.unwrap();
    assert_eq!(found.problems, Vec::<String>::new());
    assert_eq!((found.schema_version, found.audit_rows, found.archived_documents), (latest_version(), 4, 1));
    let mut tx = copy.begin().await.unwrap();
    assert!(raw(&mut tx, "DELETE FROM audit").await.is_err(), "the guards come back with the data");
}

#[tokio::test]
async fn a_schema_newer_than_the_program_is_refused_and_left_alone() {
    for open in both().await {
        open.store.migrate().await.unwrap();
        let mut tx = open.store.begin().await.unwrap();
        let blob = if open.store.dialect() == "sqlite" { "x'00'" } else { "'\\x00'" };
        let sql = format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', TRUE, {blob}, 0)"
        );
        raw(&mut tx, &sql).await.unwrap();
        tx.commit().await.unwrap();
        let refused: StoreResult<Store> = Store::open(&open.url).await;
        match refused {
            Err(StoreError::TooNew { found: 9999, known }) => assert_eq!(known, latest_version()),
            other => panic!("{}: {other:?}", open.store.dialect()),
        }
    }
}
