use super::*;
use crate::secret::Secrets;
use crate::spec::Spec;

const SPEC: &str = "
version: 1
name: acme
production: erp1
hosts:
  erp1: {address: 192.0.2.11, vars: {port: 1}}
  erp2: {address: local, listen: 192.0.2.12}
vars: {port: 8069, domain: erp.example.org, pw: {secret: 'env:PW'}, gone: {secret: 'file:/nonexistent'}}
";

fn render(host: &str, content: &str) -> Result<Text, TemplateError> {
    render_in(Path::new("/nonexistent"), host, &FileSource::Content(content))
}

fn render_in(directory: &Path, host: &str, source: &FileSource<'_>) -> Result<Text, TemplateError> {
    let (spec, _): (Spec, _) = crate::spec::load::parse(SPEC).unwrap();
    let secrets = Secrets::with(spec.secrets().into_iter().map(|(_, source)| source), |source| match source {
        crate::secret::SecretSource::Env(_) => Ok("hunter2".into()),
        _ => Err("it is not there".into()),
    });
    let host = host.parse().unwrap();
    Templates::new(directory).render(source, &Context { spec: &spec, host: &host, secrets: &secrets })
}

#[test]
fn a_template_sees_its_host_and_the_other() {
    let text = "{{ host.name }} {{ role }} {{ host.listen }} {{ peer.name }} {{ peer.listen }} {{ vars.port }} {{ spec.name }}\n";
    assert_eq!(render("erp1", text).unwrap(), Text::from("erp1 production 192.0.2.11 erp2 192.0.2.12 1 acme\n"));
    assert_eq!(render("erp2", text).unwrap(), Text::from("erp2 standby 192.0.2.12 erp1 192.0.2.11 8069 acme\n"));
}

#[test]
fn text_made_with_a_secret_is_one() {
    for content in [
        "{{ vars.pw }}",
        "{% if vars.pw == 'x' %}a{% endif %}",
        "{{ vars.pw | upper }}",
        "{{ vars }}",
        "hunter2",
        "{% for k in vars %}{% if k == 'pw' %}{{ vars[k] | length }}{% endif %}{% endfor %}",
    ] {
        let text = render("erp1", content);
        assert!(
            matches!(&text, Ok(text) if text.is_sensitive()) || matches!(&text, Err(TemplateError::Secret { .. })),
            "{content}: {text:?}"
        );
    }
    assert_eq!(render("erp1", "{{ vars.pw }}").unwrap().expose(), "hunter2");
    let error = render("erp1", "{{ vars.pw | int }}").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    assert!(!render("erp1", "{{ spec }}").unwrap().is_sensitive());
}

#[test]
fn a_missing_secret_spoils_only_a_template_that_uses_it() {
    assert!(render("erp1", "plain").is_ok());
    let error = render("erp1", "{{ vars.gone | default('x') }}").unwrap_err();
    assert!(matches!(error, TemplateError::Secret { .. }), "{error}");
}

#[test]
fn what_is_undefined_is_named() {
    for (content, line, message, hint) in [
        ("a\n{{ vars.prot }}", 2, "`vars.prot` is not defined", "did you mean `vars.port`?"),
        ("{{ vras.port }}", 1, "`vras` is not defined", "did you mean `vars`?"),
        ("\n\n{% if hots %}x{% endif %}", 3, "`hots` is not defined", "did you mean `host`?"),
        ("{{ peer.nane ~ 'x' }}", 1, "`peer.nane` is not defined", "did you mean `peer.name`?"),
        ("{{ spec.odoo.version }}", 1, "`spec.odoo` is not defined", ""),
    ] {
        match render("erp1", content).unwrap_err() {
            TemplateError::Wrong { line: l, message: m, hint: h, .. } => {
                assert_eq!((l, m.as_str()), (line, message));
                assert!(h.clone().unwrap_or_default().contains(hint), "{h:?}");
            }
            other => panic!("{content}: {other}"),
        }
    }
}

#[test]
fn the_users_folder_wins() {
    let dir = tempfile::tempdir().unwrap();
    let nginx = FileSource::Template("nginx-odoo.conf");
    assert!(render_in(dir.path(), "erp1", &nginx).unwrap().expose().contains("server_name erp.example.org;"));
    std::fs::write(dir.path().join("nginx-odoo.conf"), "beside").unwrap();
    assert_eq!(render_in(dir.path(), "erp1", &nginx).unwrap().expose(), "beside");
    std::fs::create_dir(dir.path().join("templates")).unwrap();
    std::fs::write(dir.path().join("templates/nginx-odoo.conf"), "in {% include 'part' %} x\n").unwrap();
    std::fs::write(dir.path().join("templates/part"), "\n{{ vars.x }}").unwrap();
    let error = render_in(dir.path(), "erp1", &nginx).unwrap_err().to_string();
    assert!(error.contains("templates/part:2: `vars.x` is not defined"), "{error}");
    std::fs::write(dir.path().join("templates/part"), "part").unwrap();
    assert_eq!(render_in(dir.path(), "erp1", &nginx).unwrap().expose(), "in part x\n");
    for bad in ["../secret", "/etc/passwd", "nothing", ""] {
        assert!(matches!(render_in(dir.path(), "erp1", &FileSource::Template(bad)), Err(TemplateError::Unknown { .. })), "{bad}");
    }
    assert!(matches!(render_in(dir.path(), "erp1", &FileSource::Template("templates")), Err(TemplateError::Unreadable { .. })));
}

#[test]
fn a_proxy_sends_everything_to_production() {
    let nginx = |host| render_in(Path::new("/nonexistent"), host, &FileSource::Template("nginx-odoo.conf")).unwrap().expose().to_owned();
    let on_production = "upstream odoo_web {\n  server 127.0.0.1:8069;  # erp1\n  server 192.0.2.12:8069 down;  # erp2\n}\n";
    assert!(nginx("erp1").contains(on_production), "{}", nginx("erp1"));
    let on_standby = "upstream odoo_bus {\n  server 127.0.0.1:8072 down;  # erp2\n  server 192.0.2.11:8072;  # erp1\n}\n";
    assert!(nginx("erp2").contains(on_standby), "{}", nginx("erp2"));
}
