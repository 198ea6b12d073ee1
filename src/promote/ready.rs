//! Whether what follows the point of no return can be done: the plan of those steps, made beforehand.

use std::collections::BTreeSet;

use super::{Progress, Promotion, look};
use crate::action::Action;
use crate::converge::plan;
use crate::facts::Facts;
use crate::look::Look;
use crate::look::odoo_reads::{Read, Reading};
use crate::name::{DatabaseName, HostName};
use crate::plan::ready::{Hindrance, hindrances};
use crate::plan::{Plan, Verdict};
use crate::resource::promotion::LostBundles;
use crate::resource::{Kind, Wanted};
use crate::secret::Secret;
use crate::wanted::{Inputs, cluster_at, is_of_both_roles, on, serving};

/// What a promoted host must be, in steps that come after PostgreSQL's.
fn later(inputs: Inputs<'_>, host: &HostName) -> Vec<Wanted> {
    let mut wanted = on(inputs, host);
    let known: BTreeSet<_> = wanted.iter().map(|wanted| wanted.resource.id()).collect();
    wanted.extend(serving(inputs, host).into_iter().filter(|wanted| !known.contains(&wanted.resource.id())));
    wanted.extend(bundles(inputs, host));
    wanted
}

/// Asset bundles without their files, which a promotion forgets.
pub(super) fn bundles(inputs: Inputs<'_>, host: &HostName) -> Vec<Wanted> {
    let spec = inputs.spec;
    let (Some(odoo), Some(at)) = (&spec.odoo, cluster_at(spec, host)) else { return Vec::new() };
    let bundles = |database: &DatabaseName| {
        let directory = odoo.data_dir.join("filestore").join(database.as_str());
        let resource = LostBundles { at: at.clone(), database: database.clone(), directory };
        Wanted { resource: Box::new(resource), needs: Vec::new() }
    };
    odoo.databases.iter().map(bundles).collect()
}

/// What must be seen of a standby, to know what its promotion would run into.
pub fn looks(inputs: Inputs<'_>, host: &HostName) -> Vec<(HostName, Look)> {
    later(inputs, host).iter().flat_map(|wanted| wanted.resource.looks()).filter(|(at, _)| at == host).collect()
}

/// What it would run into.
pub fn obstacles(inputs: Inputs<'_>, host: &HostName, facts: &Facts) -> Vec<String> {
    let wanted = later(inputs, host);
    hindrances(&wanted, &Plan::make(&wanted, facts)).iter().map(Hindrance::words).collect()
}

/// What must be seen besides, because of that.
pub fn further(inputs: Inputs<'_>, host: &HostName, facts: &Facts) -> Vec<(HostName, Look)> {
    later(inputs, host).iter().flat_map(|wanted| wanted.resource.further(facts)).filter(|(at, _)| at == host).collect()
}

/// A person may leave it as it is: content, and services that Odoo and its servers do without.
fn may_stay(promotion: &Promotion<'_>, hindrance: &Hindrance) -> bool {
    let (spec, name) = (promotion.inputs.spec, hindrance.id.name.as_str());
    let serves = |unit: &str| {
        spec.odoo.as_ref().is_some_and(|odoo| odoo.unit.as_str() == unit)
            || spec.redis.as_ref().is_some_and(|redis| redis.unit().as_str() == unit)
            || cluster_at(spec, promotion.host).is_some_and(|at| at.unit().as_str() == unit)
    };
    hindrance.is_content() || hindrance.id.kind == Kind::Unit && !serves(name)
}

/// A run that goes on keeps to what was agreed at its beginning; nothing is refused any more.
pub(super) fn agreed(promotion: &Promotion<'_>, progress: &mut Progress) {
    if promotion.despite_drift {
        let wanted = later(promotion.inputs, promotion.host);
        let found = hindrances(&wanted, &plan(promotion.fleet, &wanted));
        progress.left_alone = found.into_iter().filter(|hindrance| may_stay(promotion, hindrance)).map(|hindrance| hindrance.id).collect();
    }
}

/// Looks ahead; gives what is drift and will be mended, or why nothing may begin.
pub(super) fn ahead(promotion: &Promotion<'_>, progress: &mut Progress) -> Result<Vec<String>, String> {
    let host = promotion.host;
    let wanted = later(promotion.inputs, host);
    let plan = plan(promotion.fleet, &wanted);
    let (content, wrong): (Vec<Hindrance>, Vec<Hindrance>) =
        hindrances(&wanted, &plan).into_iter().partition(|hindrance| may_stay(promotion, hindrance) && promotion.despite_drift);
    if !wrong.is_empty() {
        let verb = promotion.verb.as_str();
        let way = match wrong.iter().all(|hindrance| may_stay(promotion, hindrance)) {
            true => format!("Mend it, or leave it as it is with `otr {verb} {host} --despite-drift`"),
            false => "Mend it, and run this again".into(),
        };
        return Err(format!(
            "once promoted, {host} could not do production's work, so nothing is begun:\n{}\n{way}",
            wrong.iter().map(Hindrance::words).collect::<Vec<_>>().join("\n")
        ));
    }
    if let Some(why) = unread(promotion, &plan) {
        return Err(format!(
            "once promoted, {host} could not do production's work, so nothing is begun:\n{why}\nCorrect it in the spec or in the file, and run this again"
        ));
    }
    progress.left_alone = content.into_iter().map(|hindrance| hindrance.id).collect();
    let both: BTreeSet<_> = wanted.iter().filter(|wanted| is_of_both_roles(wanted)).map(|wanted| wanted.resource.id()).collect();
    let differs = plan.items.into_iter().filter(|item| item.verdict != Verdict::Holds && both.contains(&item.id));
    let (left, mended): (Vec<_>, Vec<_>) = differs.map(|item| item.id).partition(|id| progress.left_alone.contains(id));
    progress.sound = mended.is_empty();
    let told = |what: &str, ids: Vec<crate::resource::ResourceId>| {
        (!ids.is_empty())
            .then(|| format!("not as the spec says, and {what}: {}", ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")))
    };
    Ok([told("mended", mended), told("left as it is", left)].into_iter().flatten().collect())
}

/// Why Odoo does not start with the odoo.conf that a promoted host would have: its own parser is asked.
fn unread(promotion: &Promotion<'_>, plan: &Plan) -> Option<String> {
    let (host, odoo) = (promotion.host, promotion.inputs.spec.odoo.as_ref()?);
    let item = plan.items.iter().find(|item| item.id.kind == Kind::OdooConf)?;
    let Verdict::Change(change) = &item.verdict else { return None };
    let text = change.actions.iter().find_map(|action| match action {
        Action::WriteFile { path, content, .. } if *path == odoo.config => Some(Secret::new(content.expose())),
        _ => None,
    })?;
    let reading = Reading { config: odoo.config.clone(), unit: odoo.unit.clone(), user: odoo.user.clone(), text };
    let facts = look(promotion, host, &[Look::OdooReads(reading.clone())]);
    // Where Odoo cannot be asked nothing is known against it.
    match facts.odoo_reads(host, &reading) {
        Ok(Read::No(why)) => Some(format!("{}: Odoo would not start with it: {why}", item.id)),
        _ => None,
    }
}
