//! What is turned off in the copy before Odoo sees it. What Odoo's own `neutralize` does from 16
//! on (`data/neutralize.sql` of base, mail, payment, delivery …), for every version, and the keys
//! that modules for object storage keep in the database.
//!
//! The copy has no network: this is the second lock, not the first.

/// Table, a column that must be there, and what is done. What a database has not is passed over.
const RULES: [(&str, &str, &str); 13] = [
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
    ("auth_oauth_provider", "enabled", "UPDATE auth_oauth_provider SET enabled = false"),
    ("base_automation", "trigger", "UPDATE base_automation SET active = false WHERE trigger = ''on_webhook''"),
    // Odoo's own cloud_storage, VAPID keys, and whatever else calls itself so. What auth_signup and
    // auth_password_policy keep are switches and numbers.
    (
        "ir_config_parameter",
        "key",
        "UPDATE ir_config_parameter SET value = '''' WHERE key ~* ''(secret|password|passwd|token|api_?key|access_?key|private_?key|account_?info|connection_?string|credential)'' AND key !~ ''^(database[.]secret$|auth_signup[.]|auth_password_policy[.])''",
    ),
];

/// Tables whose columns hold keys of other services (Stripe and others, Gmail, Outlook, IAP, Twilio, carriers).
const KEEPERS: &str = "payment_provider payment_acquirer ir_mail_server fetchmail_server iap_account res_company auth_oauth_provider delivery_carrier fs_storage ir_act_server";
/// What such columns are called.
const KEYS: &str = "(secret|passw|token|(api|access|private|publishable|license|account)_?key|credential|webhook_url|smtp_pass)";

/// One statement, all of it or nothing.
pub(super) fn sql() -> String {
    let mut text = String::from("DO $otr$ DECLARE c record; BEGIN\n");
    for (table, column, statement) in RULES {
        text += &format!(
            "IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('public.{table}') AND attname = '{column}' AND NOT attisdropped) THEN EXECUTE '{statement}'; END IF;\n"
        );
    }
    text += &format!(
        "FOR c IN SELECT attrelid::regclass AS t, attname AS a FROM pg_attribute WHERE attrelid IN (SELECT to_regclass('public.' || k) FROM unnest(string_to_array('{KEEPERS}', ' ')) k) \
         AND attnum > 0 AND NOT attisdropped AND NOT attnotnull AND atttypid IN ('text'::regtype, 'varchar'::regtype) AND attname ~ '{KEYS}'\n\
         LOOP EXECUTE format('UPDATE %s SET %I = NULL WHERE %I IS NOT NULL', c.t, c.a, c.a); END LOOP;\n"
    );
    text + "END $otr$;"
}

#[cfg(test)]
mod tests {
    #[test]
    fn tables_that_a_database_has_not_are_passed_over() {
        let sql = super::sql();
        assert_eq!(sql.matches("IF EXISTS").count(), super::RULES.len());
        assert!(super::RULES.iter().all(|(table, _, statement)| statement.contains(table)));
        assert!(sql.contains("auth_signup[.]") && super::KEYS.contains("webhook_url"));
        assert!(!sql.contains("$otr$ SELECT") && sql.ends_with("END $otr$;"));
    }
}
