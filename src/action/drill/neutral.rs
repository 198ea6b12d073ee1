//! What is turned off in the copy before Odoo sees it. What Odoo's own `neutralize` does from 16
//! on (`data/neutralize.sql` of base, mail, payment, delivery …), for every version, and the keys
//! that modules for object storage keep in the database.
//!
//! The copy has no network: this is the second lock, not the first.

/// Table, a column that must be there, and what is done. What a database has not is passed over.
const RULES: [(&str, &str, &str); 11] = [
    ("ir_cron", "active", "UPDATE ir_cron SET active = false WHERE active"),
    ("ir_mail_server", "active", "UPDATE ir_mail_server SET active = false, smtp_host = ''invalid.invalid'' WHERE smtp_host IS NOT NULL"),
    ("ir_mail_server", "smtp_pass", "UPDATE ir_mail_server SET smtp_pass = NULL"),
    ("fetchmail_server", "active", "UPDATE fetchmail_server SET active = false, server = ''invalid.invalid''"),
    ("fetchmail_server", "password", "UPDATE fetchmail_server SET password = NULL"),
    ("payment_acquirer", "state", "UPDATE payment_acquirer SET state = ''disabled'' WHERE state = ''enabled''"),
    ("payment_provider", "state", "UPDATE payment_provider SET state = ''disabled'' WHERE state = ''enabled''"),
    ("delivery_carrier", "prod_environment", "UPDATE delivery_carrier SET prod_environment = false"),
    // OCA's fs_storage: the keys of a bucket.
    ("fs_storage", "options", "UPDATE fs_storage SET options = NULL"),
    // camptocamp's modules move attachments as soon as their code is loaded.
    (
        "ir_config_parameter",
        "value",
        "UPDATE ir_config_parameter SET value = ''file'' WHERE key = ''ir_attachment.location'' AND value NOT IN (''file'', ''db'')",
    ),
    // Odoo's own cloud_storage, and whatever else calls itself so.
    (
        "ir_config_parameter",
        "key",
        "UPDATE ir_config_parameter SET value = '''' WHERE key ~* ''(secret|password|passwd|token|api_?key|access_?key|account_?info|connection_?string|credential)'' AND key <> ''database.secret''",
    ),
];

/// One statement, all of it or nothing.
pub(super) fn sql() -> String {
    let mut text = String::from("DO $otr$ BEGIN\n");
    for (table, column, statement) in RULES {
        text += &format!(
            "IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('public.{table}') AND attname = '{column}' AND NOT attisdropped) THEN EXECUTE '{statement}'; END IF;\n"
        );
    }
    text + "END $otr$;"
}

#[cfg(test)]
mod tests {
    #[test]
    fn tables_that_a_database_has_not_are_passed_over() {
        let sql = super::sql();
        assert_eq!(sql.matches("IF EXISTS").count(), super::RULES.len());
        assert!(super::RULES.iter().all(|(table, _, statement)| statement.contains(table)));
        assert!(!sql.contains("$otr$ SELECT") && sql.ends_with("END $otr$;"));
    }
}
