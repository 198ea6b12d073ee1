//! postgresql.conf values, pg_hba.conf lines, pgpass lines.

/// One line of postgresql.conf.
pub fn setting(name: &str, value: &str) -> String {
    format!("{name} = '{}'\n", value.replace('\'', "''"))
}

/// A value in one unit, so that `1GB` and `1024MB`, `on` and `true`, `30s` and `30000ms` are equal.
pub fn normalised(value: &str) -> String {
    let value = value.trim();
    match value.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" => return "on".into(),
        "off" | "false" | "no" => return "off".into(),
        _ => {}
    }
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    // Units of PostgreSQL's documentation, chapter "Parameter Names and Values".
    let (factor, base) = match unit.trim() {
        "B" => (1, "B"),
        "kB" => (1 << 10, "B"),
        "MB" => (1 << 20, "B"),
        "GB" => (1 << 30, "B"),
        "TB" => (1u64 << 40, "B"),
        "ms" => (1, "ms"),
        "s" => (1000, "ms"),
        "min" => (60_000, "ms"),
        "h" => (3_600_000, "ms"),
        "d" => (86_400_000, "ms"),
        _ => return value.to_owned(),
    };
    match number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)) {
        Some(n) => format!("{n}{base}"),
        None => value.to_owned(),
    }
}

/// A number in bytes, milliseconds or as it is; one without a unit counts `unit` (pg_settings), which is
/// `8kB` for some. Fractions are PostgreSQL's too.
pub fn amount(value: &str, unit: Option<&str>) -> Option<f64> {
    let value = value.trim();
    let end = value.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c))).unwrap_or(value.len());
    let (number, own) = value.split_at(end);
    let number: f64 = number.parse().ok()?;
    let unit = if own.trim().is_empty() { unit.unwrap_or_default() } else { own.trim() };
    let start = unit.find(|c: char| !c.is_ascii_digit()).unwrap_or(unit.len());
    let (times, unit) = unit.split_at(start);
    let times: f64 = if times.is_empty() { 1.0 } else { times.parse().ok()? };
    let factor = match unit {
        "" | "B" | "ms" => 1.0,
        "kB" => 1024.0,
        "MB" => 1_048_576.0,
        "GB" => 1_073_741_824.0,
        "TB" => 1_099_511_627_776.0,
        "us" => 0.001,
        "s" => 1000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    Some(number * times * factor)
}

const BEGIN: &str = "# otr: replication, begin (these lines are otr's)";
const END: &str = "# otr: replication, end";

/// The lines otr keeps in pg_hba.conf.
pub fn hba_lines(text: &str) -> Vec<&str> {
    text.lines().skip_while(|line| *line != BEGIN).skip(1).take_while(|line| *line != END).collect()
}

/// pg_hba.conf with otr's lines replaced. They stand at the end: what an admin wrote comes first.
pub fn with_hba_lines(text: &str, lines: &[String]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for line in text.lines() {
        inside = inside || line == BEGIN;
        if !inside {
            out.push_str(line);
            out.push('\n');
        }
        inside = inside && line != END;
    }
    for line in std::iter::once(BEGIN).chain(lines.iter().map(String::as_str)).chain([END]) {
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// A pgpass line that gives one role its password everywhere.
pub fn pgpass(role: &str, password: &str) -> String {
    let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
    format!("*:*:*:{role}:{escaped}\n")
}

/// The password of a role in a pgpass file.
pub fn pgpass_password(text: &str, role: &str) -> Option<String> {
    let start = format!("*:*:*:{role}:");
    text.lines().find_map(|line| line.strip_prefix(&start)).map(|rest| rest.replace("\\:", ":").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_in_other_units_are_equal() {
        for (a, b) in [("1GB", "1024MB"), ("on", "true"), ("30s", "30000ms"), ("1min", "60s"), ("replica", "replica"), ("100", "100")] {
            assert_eq!(normalised(a), normalised(b));
        }
        assert_ne!(normalised("1GB"), normalised("1MB"));
        assert_ne!(normalised("1"), normalised("on"), "a number is no switch");
    }

    #[test]
    fn amounts_are_compared_whatever_their_unit() {
        for (a, unit, b) in [
            ("1GB", Some("MB"), "1024MB"),
            ("2048", Some("MB"), "2GB"),
            ("1.5GB", Some("MB"), "1536MB"),
            ("16384", Some("8kB"), "128MB"),
            ("30", Some("s"), "30000ms"),
            ("12", None, "12"),
        ] {
            assert_eq!(amount(a, unit), amount(b, unit), "{a} {unit:?}");
        }
        assert_eq!(amount("-1", Some("MB")), Some(-1_048_576.0));
        assert_eq!(amount("replica", None), None);
    }

    #[test]
    fn hba_lines_are_replaced_as_a_block() {
        let text = "# TYPE\nlocal all all peer\n";
        let one = with_hba_lines(text, &["hostssl replication r 10.0.0.1/32 scram-sha-256".into()]);
        assert!(one.starts_with(text));
        assert_eq!(hba_lines(&one).len(), 1);
        let two = with_hba_lines(&one, &["x".into(), "y".into()]);
        assert_eq!(hba_lines(&two), ["x", "y"]);
        assert_eq!(with_hba_lines(&two, &["x".into(), "y".into()]), two);
        assert!(hba_lines(text).is_empty());
    }

    #[test]
    fn passwords_with_colons_survive() {
        let line = pgpass("otr_repl", "a:b\\c");
        assert_eq!(pgpass_password(&line, "otr_repl").as_deref(), Some("a:b\\c"));
        assert_eq!(pgpass_password(&line, "other"), None);
    }
}
